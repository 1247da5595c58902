cd "$TMP" && vramscope mkmodel llama-2-7b -o d --format onnx; ls
