vramscope sim llama-2-7b --quant bnb-nf4 --async --alloc-conf expandable_segments:True --gpu t4
