vramscope compare llama-2-7b --vary dtype=fp32 --vary dtype=bf16
