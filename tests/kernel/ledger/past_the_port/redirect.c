// What Cilium does with what is for a container: hands it to the far end of the veth with ifindex 4242, past the near one.
// clang -O2 -target bpf -c redirect.c -o redirect.o
static long (*bpf_redirect_peer)(unsigned int ifindex, unsigned long long flags) = (void *)155;

__attribute__((section("classifier"), used)) int past_the_port(void *packet) { return bpf_redirect_peer(4242, 0); }

__attribute__((section("license"), used)) char terms[] = "Apache-2.0";
