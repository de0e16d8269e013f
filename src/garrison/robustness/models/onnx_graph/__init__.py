"""An interpreter of ONNX in torch, through which gradients pass: small functions, one an operator, and what runs them.

Sources of what each operator computes: https://onnx.ai/onnx/operators/, in the version that the model's opset has.
"""
