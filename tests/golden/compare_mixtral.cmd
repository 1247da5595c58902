vramscope compare mixtral-8x7b --quant bnb-nf4-dq --quant-experts axolotl --no-warmup --gpu 48GiB --vary async=on,off
