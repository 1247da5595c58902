vramscope sim llama-2-7b --gpu 24GiB --quant bnb-nf4 --print-scenario
