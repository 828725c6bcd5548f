"""The precisions of matrix multiplications. In a file of their own, so that a command line is read without torch."""

from typing import Literal

Precision = Literal["auto", "float32", "tf32", "bfloat16"]
