package token

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// everything delegates all that may be delegated.
func everything(t *testing.T) Delegation {
	t.Helper()
	var d Delegation
	for _, list := range []struct {
		names []string
		add   func(string) error
	}{{delegable(mapTypes[:]), d.AddMap}, {delegable(programTypes[:]), d.AddProgram}, {delegableAttachTypes(), d.AddAttachType}} {
		for _, name := range list.names {
			testns.Must(t, list.add(name))
		}
	}
	testns.Must(t, d.Check())
	return d
}

// needRefusal skips the test where everybody may use bpf(2).
func needRefusal(t *testing.T) {
	t.Helper()
	needTokens(t)
	const sysctl = "/proc/sys/kernel/unprivileged_bpf_disabled"
	if value, err := os.ReadFile(sysctl); err != nil || strings.TrimSpace(string(value)) == "0" {
		t.Skipf("%s is %q (%v): the kernel refuses nothing", sysctl, value, err)
	}
}

func TestOnlyTheDelegatedIsAllowed(t *testing.T) {
	needRefusal(t)
	bits := func(numbers ...int) (set uint64) {
		for _, n := range numbers {
			set |= 1 << n
		}
		return set
	}
	missing := missingMaps(t)
	for _, row := range []struct {
		name string
		d    Delegation
	}{
		{"counters", Delegation{
			Maps:        bits(unix.BPF_MAP_TYPE_ARRAY, unix.BPF_MAP_TYPE_HASH, unix.BPF_MAP_TYPE_RINGBUF),
			Programs:    bits(unix.BPF_PROG_TYPE_SOCKET_FILTER, unix.BPF_PROG_TYPE_SCHED_CLS),
			AttachTypes: bits(unix.BPF_TCX_INGRESS, unix.BPF_TCX_EGRESS),
		}},
		{"maps only", Delegation{Maps: bits(unix.BPF_MAP_TYPE_ARRAY)}},
		{"programs only", Delegation{Programs: bits(unix.BPF_PROG_TYPE_SK_LOOKUP), AttachTypes: bits(unix.BPF_SK_LOOKUP)}},
		{"everything", everything(t)},
	} {
		t.Run(row.name, func(t *testing.T) {
			answers := runPod(t, row.d, podCapabilities, loadAll)
			if answers["btf"] != "ok" {
				t.Errorf("BTF: %s, want it to be loaded", answers["btf"])
			}
			for what, allowed := range expected(row.d) {
				if !missing[what] || allowed {
					checkAnswer(t, what, answers[what], allowed)
				}
			}
		})
	}
}

// missingMaps returns the types of maps that the kernel was built without. It says so
// before it asks for privilege.
func missingMaps(t *testing.T) map[string]bool {
	t.Helper()
	missing := make(map[string]bool)
	for what, answer := range runPod(t, Delegation{}, 0, loadAlone) {
		if strings.HasPrefix(what, "map:") && answer == syscall.EINVAL.Error() {
			t.Logf("this kernel has no %s", what)
			missing[what] = true
		}
	}
	if missing["map:array"] {
		t.Fatal("without a token the kernel takes no array for one: the attributes are wrong")
	}
	return missing
}

// expected says what the kernel allows with the delegation.
func expected(d Delegation) map[string]bool {
	want := map[string]bool{"id:map": false, "id:program": false, "id:next": false, "id:btf": false, "id:link": false}
	for number, k := range mapTypes {
		if k.name != "" {
			want["map:"+k.name] = d.Maps&(1<<number) != 0
		}
	}
	for number, k := range programTypes {
		if k.name != "" && !k.attaches {
			want["program:"+k.name] = d.Programs&(1<<number) != 0
		}
	}
	for number, a := range attachTypes {
		program := find(programTypes[:], a.program)
		want["attach:"+a.name] = d.Programs&(1<<program) != 0 && (d.AttachTypes|attachNone)&(1<<number) != 0
	}
	want["link"] = want["attach:tcx_ingress"]
	return want
}

func checkAnswer(t *testing.T, what, answer string, allowed bool) {
	t.Helper()
	switch {
	case allowed && answer != "ok":
		t.Errorf("%s is delegated, but the kernel says: %s", what, answer)
	case !allowed && answer != syscall.EPERM.Error():
		t.Errorf("%s is not delegated; the kernel says %q, want %q", what, answer, syscall.EPERM.Error())
	}
}

func TestTokenNeedsCapabilityBPF(t *testing.T) {
	needTokens(t)
	for _, row := range []struct {
		capabilities uint64
		want         string
	}{
		{0, syscall.EPERM.Error()},
		{1 << unix.CAP_NET_ADMIN, syscall.EPERM.Error()},
		{1 << unix.CAP_PERFMON, syscall.EPERM.Error()},
		{1 << unix.CAP_BPF, ""},
	} {
		answers := runPod(t, Delegation{Maps: 1 << unix.BPF_MAP_TYPE_ARRAY}, row.capabilities, loadAll)
		if answers["token"] != row.want {
			t.Errorf("making a token with the capabilities %#x: %q, want %q", row.capabilities, answers["token"], row.want)
		}
	}
}

// TestPerfmonReadsKernelMemory is a canary. CAP_PERFMON, or CAP_SYS_ADMIN, which
// includes it, beside a token opens the kernel's memory, which is why the admission
// policy refuses both.
func TestPerfmonReadsKernelMemory(t *testing.T) {
	needTokens(t)
	d := Delegation{Maps: 1 << unix.BPF_MAP_TYPE_ARRAY, Programs: 1 << unix.BPF_PROG_TYPE_SOCKET_FILTER}
	for _, row := range []struct {
		name  string
		more  uint64
		reads bool
	}{{"no more", 0, false}, {"CAP_PERFMON", 1 << unix.CAP_PERFMON, true}, {"CAP_SYS_ADMIN", 1 << unix.CAP_SYS_ADMIN, true}} {
		answer := runPod(t, d, podCapabilities|row.more, readKernel)["read"]
		switch reads := answer == "ok"; {
		case reads && !row.reads:
			t.Error("A POD WITH A TOKEN READS THE KERNEL'S MEMORY with CAP_BPF and CAP_NET_ADMIN alone: the feature must not be offered on this kernel")
		case !reads && row.reads:
			t.Errorf("the world has changed: with %s beside a token the kernel's memory cannot be read any more (%s). Find out whether this holds on every kernel with tokens; then the admission policy need not refuse it", row.name, answer)
		}
	}
}

// TestTheKernelHasTheNames compares the tables with the names that the kernel prints
// for the numbers, which it takes from its BTF.
func TestTheKernelHasTheNames(t *testing.T) {
	needTokens(t)
	context, err := fsopenIn(foreignNS(t))
	testns.Must(t, err)
	defer context.Close()
	var maps, programs, attach []string
	masks := map[string]uint64{}
	for number, k := range mapTypes {
		if k.name != "" {
			maps, masks["delegate_maps"] = append(maps, k.name), masks["delegate_maps"]|1<<number
		}
	}
	for number, k := range programTypes {
		if k.name != "" {
			programs, masks["delegate_progs"] = append(programs, k.name), masks["delegate_progs"]|1<<number
		}
	}
	for number, a := range attachTypes[1:] { // all of them are printed as "any"
		attach, masks["delegate_attachs"] = append(attach, a.name), masks["delegate_attachs"]|2<<number
	}
	for key, mask := range masks {
		testns.Must(t, setMask(context, key, mask))
	}
	testns.Must(t, setMask(context, "delegate_cmds", commands))
	dir := openDir(t)
	mountAt(t, context, dir)
	shown := optionsOf(t, dir)
	for key, want := range map[string]string{
		"delegate_cmds": "map_create:prog_load:btf_load", "delegate_maps": strings.Join(maps, ":"),
		"delegate_progs": strings.Join(programs, ":"), "delegate_attachs": strings.Join(attach, ":"),
	} {
		if strings.HasPrefix(shown[key], "0x") {
			t.Skip("the kernel has no BTF, so it prints no names")
		}
		// An older kernel prints what it does not know as one number, at the end.
		got, _, _ := strings.Cut(strings.ReplaceAll(shown[key], "_deprecated", ""), ":0x")
		if !strings.HasPrefix(want+":", got+":") {
			t.Errorf("%s: the kernel's names are\n%s, want\n%s", key, got, want)
		}
	}
}

// optionsOf returns the options of the file system mounted at the path.
func optionsOf(t *testing.T, path string) map[string]string {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	testns.Must(t, err)
	options := make(map[string]string)
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); fields[4] == path {
			for option := range strings.SplitSeq(fields[len(fields)-1], ",") {
				key, value, _ := strings.Cut(option, "=")
				options[key] = value
			}
		}
	}
	return options
}

func TestBeyondThePodIsRefused(t *testing.T) {
	for _, row := range []struct {
		add        func(*Delegation, string) error
		name, want string
	}{
		{(*Delegation).AddMap, "struct_ops", "bpffs does not delegate maps of type struct_ops: they replace functions of the kernel"},
		{(*Delegation).AddMap, "perf_event_array", "counters of the node's CPUs"},
		{(*Delegation).AddMap, "arena", "CAP_PERFMON"},
		{(*Delegation).AddMap, "any", `no maps have the type "any"; use one of hash, array, `},
		{(*Delegation).AddProgram, "kprobe", "bpffs does not delegate programs of type kprobe: they run for everything on the node"},
		{(*Delegation).AddProgram, "lsm", "what every process on the node may do"},
		{(*Delegation).AddProgram, "xdp", "they change the node's end of it"},
		{(*Delegation).AddProgram, "", `no programs have the type ""; use one of socket_filter, `},
		{(*Delegation).AddAttachType, "trace_fentry", "bpffs does not delegate attach type trace_fentry: they run"},
		{(*Delegation).AddAttachType, "netkit_peer", "at the node's end of the pair"},
		{(*Delegation).AddAttachType, "tcx_ingress", "for programs of type sched_cls: delegate these, too"},
		{(*Delegation).AddAttachType, "tcx", `there is no attach type "tcx"; use one of cgroup_inet_ingress, `},
	} {
		var d Delegation
		if err := row.add(&d, row.name); err == nil || !strings.Contains(err.Error(), row.want) || d != (Delegation{}) {
			t.Errorf("%q: error %v and %+v, want an error with %q and nothing delegated", row.name, err, d, row.want)
		}
	}
}

func TestProgramsThatNeedAnAttachType(t *testing.T) {
	for _, row := range []struct{ program, attach, want string }{
		{"sk_lookup", "", "programs of type sk_lookup cannot be loaded without an attach type: add one of sk_lookup to attachTypes"},
		{"netfilter", "", "add one of netfilter"},
		{"cgroup_sock", "", "cgroup_inet4_post_bind"},
		{"cgroup_sock", "cgroup_inet_sock_release", ""},
		{"sched_cls", "", ""},
		{"sk_msg", "", ""},
	} {
		var d Delegation
		testns.Must(t, d.AddProgram(row.program))
		if row.attach != "" {
			testns.Must(t, d.AddAttachType(row.attach))
		}
		err := d.Check()
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s with the attach type %q: %v, want %q", row.program, row.attach, err, row.want)
		}
	}
}
