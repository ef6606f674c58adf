package token

// A kind is a type of maps or of programs.
type kind struct {
	name     string // the kernel's, in lower case, as bpftool has it
	reason   string // why it is never delegated; empty if it may be
	attaches bool   // a program that the kernel loads with one of its attach types only
}

// Why a type is never delegated, where several have the reason.
const (
	onlyXDP       = "only xdp programs use them, which are not delegated"
	needsPerfmon  = "their programs need CAP_PERFMON, with which a pod that has a token reads the kernel's memory"
	ofTheNode     = "they run for everything on the node, and read the kernel's memory"
	notNetwork    = "they are not about the network of the pod"
	xdpReaches    = "attached to a pod's interface, they change the node's end of it: its largest MTU and its offloads"
	netkitReaches = "they are attached at the node's end of the pair"
)

// mapTypes has the types of maps by their numbers (enum bpf_map_type). Those that may
// be delegated hold what their creator puts there, or sockets and cgroups that it can
// open.
var mapTypes = [...]kind{
	1:  {name: "hash"},
	2:  {name: "array"},
	3:  {name: "prog_array"},
	4:  {name: "perf_event_array", reason: "they read the counters of the node's CPUs"},
	5:  {name: "percpu_hash"},
	6:  {name: "percpu_array"},
	7:  {name: "stack_trace", reason: "they hold addresses of the kernel and of other processes"},
	8:  {name: "cgroup_array"},
	9:  {name: "lru_hash"},
	10: {name: "lru_percpu_hash"},
	11: {name: "lpm_trie"},
	12: {name: "array_of_maps"},
	13: {name: "hash_of_maps"},
	14: {name: "devmap", reason: onlyXDP},
	15: {name: "sockmap"},
	16: {name: "cpumap", reason: "they start threads of the kernel on the node's CPUs"},
	17: {name: "xskmap", reason: onlyXDP},
	18: {name: "sockhash"},
	19: {name: "cgroup_storage"},
	20: {name: "reuseport_sockarray"},
	21: {name: "percpu_cgroup_storage"},
	22: {name: "queue"},
	23: {name: "stack"},
	24: {name: "sk_storage"},
	25: {name: "devmap_hash", reason: onlyXDP},
	26: {name: "struct_ops", reason: "they replace functions of the kernel"},
	27: {name: "ringbuf"},
	28: {name: "inode_storage", reason: "they hold data for the files of the whole node"},
	29: {name: "task_storage", reason: "they hold data for the processes of the whole node"},
	30: {name: "bloom_filter"},
	31: {name: "user_ringbuf"},
	32: {name: "cgrp_storage", reason: "they hold data for the cgroups of the whole node"},
	33: {name: "arena", reason: needsPerfmon},
}

// programTypes has the types of programs by their numbers (enum bpf_prog_type). Those
// that may be delegated run for the sockets, the cgroups or the interfaces and routes
// of who attaches them, and can be attached to no others.
var programTypes = [...]kind{
	1:  {name: "socket_filter"},
	2:  {name: "kprobe", reason: ofTheNode},
	3:  {name: "sched_cls"},
	4:  {name: "sched_act"},
	5:  {name: "tracepoint", reason: ofTheNode},
	6:  {name: "xdp", reason: xdpReaches},
	7:  {name: "perf_event", reason: ofTheNode},
	8:  {name: "cgroup_skb"},
	9:  {name: "cgroup_sock", attaches: true},
	10: {name: "lwt_in"},
	11: {name: "lwt_out"},
	12: {name: "lwt_xmit"},
	13: {name: "sock_ops"},
	14: {name: "sk_skb"},
	15: {name: "cgroup_device", reason: notNetwork},
	16: {name: "sk_msg"},
	17: {name: "raw_tracepoint", reason: ofTheNode},
	18: {name: "cgroup_sock_addr", attaches: true},
	19: {name: "lwt_seg6local"},
	20: {name: "lirc_mode2", reason: notNetwork},
	21: {name: "sk_reuseport"},
	22: {name: "flow_dissector"},
	23: {name: "cgroup_sysctl", reason: notNetwork},
	24: {name: "raw_tracepoint_writable", reason: ofTheNode},
	25: {name: "cgroup_sockopt", attaches: true},
	26: {name: "tracing", reason: ofTheNode},
	27: {name: "struct_ops", reason: "they replace functions of the kernel"},
	28: {name: "ext", reason: "they replace functions of other programs"},
	29: {name: "lsm", reason: "they decide what every process on the node may do"},
	30: {name: "sk_lookup", attaches: true},
	31: {name: "syscall", reason: "they call bpf(2) and functions of the kernel"},
	32: {name: "netfilter", attaches: true},
}

// An attachType is where programs of a type are attached.
type attachType struct {
	name    string
	program string // its type
	reason  string // why it is never delegated, though the type may be
}

// attachTypes has them by their numbers (enum bpf_attach_type).
var attachTypes = [...]attachType{
	0:  {name: "cgroup_inet_ingress", program: "cgroup_skb"},
	1:  {name: "cgroup_inet_egress", program: "cgroup_skb"},
	2:  {name: "cgroup_inet_sock_create", program: "cgroup_sock"},
	3:  {name: "cgroup_sock_ops", program: "sock_ops"},
	4:  {name: "sk_skb_stream_parser", program: "sk_skb"},
	5:  {name: "sk_skb_stream_verdict", program: "sk_skb"},
	6:  {name: "cgroup_device", program: "cgroup_device"},
	7:  {name: "sk_msg_verdict", program: "sk_msg"},
	8:  {name: "cgroup_inet4_bind", program: "cgroup_sock_addr"},
	9:  {name: "cgroup_inet6_bind", program: "cgroup_sock_addr"},
	10: {name: "cgroup_inet4_connect", program: "cgroup_sock_addr"},
	11: {name: "cgroup_inet6_connect", program: "cgroup_sock_addr"},
	12: {name: "cgroup_inet4_post_bind", program: "cgroup_sock"},
	13: {name: "cgroup_inet6_post_bind", program: "cgroup_sock"},
	14: {name: "cgroup_udp4_sendmsg", program: "cgroup_sock_addr"},
	15: {name: "cgroup_udp6_sendmsg", program: "cgroup_sock_addr"},
	16: {name: "lirc_mode2", program: "lirc_mode2"},
	17: {name: "flow_dissector", program: "flow_dissector"},
	18: {name: "cgroup_sysctl", program: "cgroup_sysctl"},
	19: {name: "cgroup_udp4_recvmsg", program: "cgroup_sock_addr"},
	20: {name: "cgroup_udp6_recvmsg", program: "cgroup_sock_addr"},
	21: {name: "cgroup_getsockopt", program: "cgroup_sockopt"},
	22: {name: "cgroup_setsockopt", program: "cgroup_sockopt"},
	23: {name: "trace_raw_tp", program: "tracing"},
	24: {name: "trace_fentry", program: "tracing"},
	25: {name: "trace_fexit", program: "tracing"},
	26: {name: "modify_return", program: "tracing"},
	27: {name: "lsm_mac", program: "lsm"},
	28: {name: "trace_iter", program: "tracing"},
	29: {name: "cgroup_inet4_getpeername", program: "cgroup_sock_addr"},
	30: {name: "cgroup_inet6_getpeername", program: "cgroup_sock_addr"},
	31: {name: "cgroup_inet4_getsockname", program: "cgroup_sock_addr"},
	32: {name: "cgroup_inet6_getsockname", program: "cgroup_sock_addr"},
	33: {name: "xdp_devmap", program: "xdp"},
	34: {name: "cgroup_inet_sock_release", program: "cgroup_sock"},
	35: {name: "xdp_cpumap", program: "xdp"},
	36: {name: "sk_lookup", program: "sk_lookup"},
	37: {name: "xdp", program: "xdp"},
	38: {name: "sk_skb_verdict", program: "sk_skb"},
	39: {name: "sk_reuseport_select", program: "sk_reuseport"},
	40: {name: "sk_reuseport_select_or_migrate", program: "sk_reuseport"},
	41: {name: "perf_event", program: "perf_event"},
	42: {name: "trace_kprobe_multi", program: "kprobe"},
	43: {name: "lsm_cgroup", program: "lsm"},
	44: {name: "struct_ops", program: "struct_ops"},
	45: {name: "netfilter", program: "netfilter"},
	46: {name: "tcx_ingress", program: "sched_cls"},
	47: {name: "tcx_egress", program: "sched_cls"},
	48: {name: "trace_uprobe_multi", program: "kprobe"},
	49: {name: "cgroup_unix_connect", program: "cgroup_sock_addr"},
	50: {name: "cgroup_unix_sendmsg", program: "cgroup_sock_addr"},
	51: {name: "cgroup_unix_recvmsg", program: "cgroup_sock_addr"},
	52: {name: "cgroup_unix_getpeername", program: "cgroup_sock_addr"},
	53: {name: "cgroup_unix_getsockname", program: "cgroup_sock_addr"},
	54: {name: "netkit_primary", program: "sched_cls", reason: netkitReaches},
	55: {name: "netkit_peer", program: "sched_cls", reason: netkitReaches},
	56: {name: "trace_kprobe_session", program: "kprobe"},
	57: {name: "trace_uprobe_session", program: "kprobe"},
}
