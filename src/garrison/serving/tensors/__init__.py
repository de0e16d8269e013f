"""Tensors of the Open Inference Protocol, read from and written as JSON, binary tensor data and protobuf."""
