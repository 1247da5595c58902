vramscope sim deepseek-v3 --quant bnb-nf4; vramscope sim gpt-oss-120b --gpu h100-sxm --quant bnb-int8
