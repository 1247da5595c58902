vramscope sim llama-2-7b --json - --csv -; vramscope sim llama-2-7b --png -; cd "$TMP" && vramscope compare llama-2-7b --tape -; ls
