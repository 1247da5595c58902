vramscope sim llama-2-7b --dtype fp32 --gpu rtx-4090 --fail-on-oom
