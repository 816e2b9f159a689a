"""Models as their authors saved them: reading any layout, writing safetensors, PEFT adapters."""
