vramscope sim gpt-oss-120b --gpu h100-sxm
