vramscope sim llama-2-7b --quant bnb-nf4-dq --no-async --json -
