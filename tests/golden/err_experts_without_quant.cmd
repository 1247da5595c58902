vramscope sim mixtral-8x7b --quant-experts axolotl --gpu 80GiB
