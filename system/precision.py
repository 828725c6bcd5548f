"""The precisions of matrix multiplications: apart from hardware.py so that a command line is read before torch is loaded."""

from typing import Literal

Precision = Literal["auto", "float32", "tf32", "bfloat16"]
