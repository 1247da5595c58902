vramscope compare llama-2-7b --gpu rtx-4090 --vary ram=256MiB,64GiB
