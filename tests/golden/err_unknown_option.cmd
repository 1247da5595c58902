vramscope sim llama-2-7b --dtpye bf16
