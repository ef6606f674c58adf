// A program for tc that counts packets and bytes in its map MAP, which is pinned
// by its name, or is the one that is pinned there.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

struct count {
	__u64 packets, bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct count);
	__uint(max_entries, 2);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} MAP SEC(".maps");

SEC("tc")
int count(struct __sk_buff *packet)
{
	__u32 sent = 1;
	struct count *c = bpf_map_lookup_elem(&MAP, &sent);

	if (c) {
		c->packets++;
		c->bytes += packet->len;
	}
	return TC_ACT_OK;
}

char gpl[] SEC("license") = "GPL";
