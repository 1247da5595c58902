vramscope sim gpt-oss-120b --gpu v100-32gb:300GiB --no-async
