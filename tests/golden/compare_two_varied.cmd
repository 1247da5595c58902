vramscope compare llama-2-7b --gpu rtx-4090 --vary dtype=fp32,bf16 --vary quant=none,bnb-nf4
