vramscope compare mixtral-8x7b --quant bnb-nf4-dq --quant-experts none --gpu a100-80gb-sxm --vary async=on,off
