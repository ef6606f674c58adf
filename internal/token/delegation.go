package token

import (
	"fmt"
	"slices"
	"strings"
)

// A Delegation is what the tokens of a bpffs allow, beside the commands map_create,
// prog_load and btf_load, which are always allowed. Each field is a set of bits, one
// for each number of the enum in include/uapi/linux/bpf.h.
type Delegation struct {
	Maps        uint64 // enum bpf_map_type
	Programs    uint64 // enum bpf_prog_type
	AttachTypes uint64 // enum bpf_attach_type, beside cgroup_inet_ingress
}

// commands are those of enum bpf_cmd that make something of the pod's own: those that
// look objects up by ID are none of them.
const commands = 1<<0 | 1<<5 | 1<<18 // BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_BTF_LOAD

// attachNone is the attach type of programs that have none: the first of the enum,
// which is cgroup_inet_ingress, too.
const attachNone = 1 << 0

// AddMap delegates a type of maps by the kernel's name in lower case, such as
// "ringbuf". It is an error if the type reaches beyond the pod, or is unknown.
func (d *Delegation) AddMap(name string) error {
	return add(&d.Maps, "maps", mapTypes[:], name)
}

// AddProgram delegates a type of programs, such as "sched_cls". It is an error if
// programs of the type reach beyond the pod, or it is unknown.
func (d *Delegation) AddProgram(name string) error {
	return add(&d.Programs, "programs", programTypes[:], name)
}

// AddAttachType delegates an attach type, such as "tcx_ingress". It is an error if its
// programs were not delegated before, or it is unknown.
func (d *Delegation) AddAttachType(name string) error {
	for number, a := range attachTypes {
		if a.name != name || name == "" {
			continue
		}
		program := find(programTypes[:], a.program)
		if reason := programTypes[program].reason; reason != "" {
			return refused("attach type "+name, reason)
		}
		if a.reason != "" {
			return refused("attach type "+name, a.reason)
		}
		if d.Programs&(1<<program) == 0 {
			return fmt.Errorf("attach type %s is for programs of type %s: delegate these, too", name, a.program)
		}
		d.AttachTypes |= 1 << number
		return nil
	}
	return fmt.Errorf("there is no attach type %q; use one of %s", name, strings.Join(delegableAttachTypes(), ", "))
}

// Check reports a type of programs that cannot be loaded, because none of its attach
// types is delegated.
func (d *Delegation) Check() error {
	for number, p := range programTypes {
		if d.Programs&(1<<number) == 0 || !p.attaches {
			continue
		}
		var mask uint64
		var names []string
		for number, a := range attachTypes {
			if a.program == p.name {
				mask |= 1 << number
				names = append(names, a.name)
			}
		}
		if d.AttachTypes&mask == 0 {
			return fmt.Errorf("programs of type %s cannot be loaded without an attach type: add one of %s to attachTypes", p.name, strings.Join(names, ", "))
		}
	}
	return nil
}

// An option of the file system, whose value is a set of bits.
type option struct {
	key  string
	mask uint64
}

// options are those of the file system. They have numbers: the kernel knows the names
// only where it has BTF.
func (d *Delegation) options() []option {
	return []option{
		{"delegate_cmds", commands},
		{"delegate_maps", d.Maps},
		{"delegate_progs", d.Programs},
		{"delegate_attachs", d.AttachTypes | attachNone},
	}
}

func add(mask *uint64, what string, kinds []kind, name string) error {
	number := find(kinds, name)
	if number < 0 {
		return fmt.Errorf("no %s have the type %q; use one of %s", what, name, strings.Join(delegable(kinds), ", "))
	}
	if reason := kinds[number].reason; reason != "" {
		return refused(what+" of type "+name, reason)
	}
	*mask |= 1 << number
	return nil
}

func refused(what, reason string) error {
	return fmt.Errorf("bpffs does not delegate %s: %s", what, reason)
}

// find returns the number of the kind, -1 if there is none of that name.
func find(kinds []kind, name string) int {
	for number, k := range kinds {
		if k.name == name && name != "" {
			return number
		}
	}
	return -1
}

// delegable returns the names of the kinds that may be delegated.
func delegable(kinds []kind) []string {
	var names []string
	for _, k := range kinds {
		if k.name != "" && k.reason == "" {
			names = append(names, k.name)
		}
	}
	return names
}

func delegableAttachTypes() []string {
	programs := delegable(programTypes[:])
	var names []string
	for _, a := range attachTypes {
		if a.reason == "" && slices.Contains(programs, a.program) {
			names = append(names, a.name)
		}
	}
	return names
}
