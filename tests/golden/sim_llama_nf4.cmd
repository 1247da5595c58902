vramscope sim llama-2-7b --quant bnb-nf4 --no-async
