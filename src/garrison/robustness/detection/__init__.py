"""Tell adversarial and out-of-distribution inputs, and sequences of queries that search for them.

Detectors are fitted with torch, stored as JSON, safetensors and ONNX, and run with NumPy and ONNX Runtime alone:
`stored.StoredDetector` and everything under `sequences` import no torch.
"""
