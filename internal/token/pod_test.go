package token

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// pod is the role of a process in a user and a network namespace of its own, with some
// capabilities there, which uses BPF through the bpffs at a path.
const pod = "pod"

// What the environment of a pod says.
const (
	podDir  = "BPFFS_TEST_DIR"
	podCaps = "BPFFS_TEST_CAPS" // a set of bits
	podTask = "BPFFS_TEST_TASK"
)

// The tasks of a pod.
const (
	loadAll    = "load"  // load one of each type, and print what the kernel said
	loadAlone  = "alone" // the same without a token
	readKernel = "read"  // read the kernel's memory, and print whether that went
)

// Capabilities of a pod that has a token.
const podCapabilities = 1<<unix.CAP_BPF | 1<<unix.CAP_NET_ADMIN

func bePod(stdout io.Writer) error {
	if _, err := fmt.Fprintln(stdout, "up"); err != nil {
		return err
	}
	testns.Await()
	runtime.LockOSThread() // capabilities are the thread's
	caps, err := strconv.ParseUint(os.Getenv(podCaps), 10, 64)
	if err == nil {
		err = testns.KeepCapabilities(caps)
	}
	if err != nil {
		return err
	}
	if os.Getenv(podTask) == loadAlone {
		(&user{out: stdout}).loadAll()
		return nil
	}
	root, err := os.Open(os.Getenv(podDir))
	if err != nil {
		return err
	}
	defer root.Close()
	token, err := bpf(cmdTokenCreate, attr(8, u32(4, uint32(root.Fd()))))
	if err != nil {
		_, err := fmt.Fprintf(stdout, "token %v\n", err)
		return err
	}
	p := &user{token: uint32(token), flag: tokenFlag, out: stdout}
	if os.Getenv(podTask) == readKernel {
		return p.readKernel()
	}
	p.loadAll()
	return nil
}

// runPod starts a pod, mounts a bpffs of its user namespace with the delegation, lets
// it do its task, and returns the lines it printed: what was tried, and the answer.
func runPod(t *testing.T, d Delegation, capabilities uint64, task string) map[string]string {
	t.Helper()
	testns.Need(t)
	dir := openDir(t)
	cmd := inUserNS(testns.Command(pod, podDir+"="+dir, podCaps+"="+strconv.FormatUint(capabilities, 10), podTask+"="+task), 0, 0)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	testns.Must(t, err)
	stdout, err := cmd.StdoutPipe()
	testns.Must(t, err)
	testns.Must(t, cmd.Start())
	said := bufio.NewReader(stdout)
	_, err = said.ReadString('\n')
	testns.Must(t, err)
	context, err := Open(userNSOf(t, fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid)), d)
	testns.Must(t, err)
	defer context.Close()
	mountAt(t, context, dir)
	testns.Must(t, stdin.Close())
	rest, err := io.ReadAll(said)
	testns.Must(t, errors.Join(err, cmd.Wait()))
	answers := make(map[string]string)
	for line := range strings.Lines(string(rest)) {
		what, answer, _ := strings.Cut(strings.TrimSpace(line), " ")
		answers[what] = answer
	}
	return answers
}

// A user of a token, or of none.
type user struct {
	token, flag uint32
	out         io.Writer
}

// say prints what was tried, and how it went.
func (p *user) say(what string, err error) {
	answer := "ok"
	if err != nil {
		answer = err.Error()
	}
	fmt.Fprintf(p.out, "%s %s\n", what, answer)
}

// loadAll tries every type of maps and programs, with every attach type, and to look
// objects up by ID.
func (p *user) loadAll() {
	inner, err := p.createMap(unix.BPF_MAP_TYPE_ARRAY, shape{4, 8, 1, 0}, 0, 0)
	p.say("inner", err)
	btf, err := p.loadBTF()
	p.say("btf", err)
	for number, k := range mapTypes {
		if k.name == "" {
			continue
		}
		_, err := p.createMap(uint32(number), shapeOf(uint32(number)), uint32(max(inner, 0)), uint32(max(btf, 0)))
		p.say("map:"+k.name, err)
	}
	for number, k := range programTypes {
		if k.name != "" {
			_, err := p.loadProgram(uint32(number), 0, returnOne())
			p.say("program:"+k.name, err)
		}
	}
	for number, a := range attachTypes {
		_, err := p.loadProgram(uint32(find(programTypes[:], a.program)), uint32(number), returnOne())
		p.say("attach:"+a.name, err)
	}
	p.say("link", p.attachTCX())
	for what, cmd := range map[string]uintptr{
		"id:map": unix.BPF_MAP_GET_FD_BY_ID, "id:program": unix.BPF_PROG_GET_FD_BY_ID, "id:next": unix.BPF_MAP_GET_NEXT_ID,
		"id:btf": unix.BPF_BTF_GET_FD_BY_ID, "id:link": unix.BPF_LINK_GET_FD_BY_ID,
	} {
		_, err := bpf(cmd, attr(12, u32(0, 1)))
		p.say(what, err)
	}
}

// attachTCX attaches a program to the loopback interface of the pod, and detaches it.
func (p *user) attachTCX() error {
	program, err := p.loadProgram(unix.BPF_PROG_TYPE_SCHED_CLS, unix.BPF_TCX_INGRESS, returnOne())
	if err != nil {
		return err
	}
	const loopback = 1
	link, err := bpf(unix.BPF_LINK_CREATE, attr(32, u32(0, uint32(program)), u32(4, loopback), u32(8, unix.BPF_TCX_INGRESS)))
	if err != nil {
		return err
	}
	return unix.Close(link)
}

// A shape is the sizes of a map in bytes, its entries and its flags.
type shape struct{ key, value, entries, flags uint32 }

// shapeOf returns one that the kernel takes for maps of the type.
func shapeOf(mapType uint32) shape {
	page := uint32(os.Getpagesize())
	switch mapType {
	case unix.BPF_MAP_TYPE_PROG_ARRAY, unix.BPF_MAP_TYPE_PERF_EVENT_ARRAY, unix.BPF_MAP_TYPE_CGROUP_ARRAY,
		unix.BPF_MAP_TYPE_ARRAY_OF_MAPS, unix.BPF_MAP_TYPE_HASH_OF_MAPS, unix.BPF_MAP_TYPE_DEVMAP,
		unix.BPF_MAP_TYPE_DEVMAP_HASH, unix.BPF_MAP_TYPE_CPUMAP, unix.BPF_MAP_TYPE_XSKMAP:
		return shape{4, 4, 1, 0}
	case unix.BPF_MAP_TYPE_LPM_TRIE:
		return shape{8, 8, 1, unix.BPF_F_NO_PREALLOC}
	case unix.BPF_MAP_TYPE_CGROUP_STORAGE, unix.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE:
		return shape{8, 8, 0, 0}
	case unix.BPF_MAP_TYPE_QUEUE, unix.BPF_MAP_TYPE_STACK, unix.BPF_MAP_TYPE_BLOOM_FILTER:
		return shape{0, 8, 1, 0}
	case unix.BPF_MAP_TYPE_SK_STORAGE, unix.BPF_MAP_TYPE_INODE_STORAGE, unix.BPF_MAP_TYPE_TASK_STORAGE, unix.BPF_MAP_TYPE_CGRP_STORAGE:
		return shape{4, 4, 0, unix.BPF_F_NO_PREALLOC}
	case unix.BPF_MAP_TYPE_RINGBUF, unix.BPF_MAP_TYPE_USER_RINGBUF:
		return shape{0, 0, page, 0}
	case arena:
		return shape{0, 0, 1, unix.BPF_F_MMAPABLE}
	}
	return shape{4, 8, 1, 0}
}

// arena is BPF_MAP_TYPE_ARENA.
const arena = 33

// tokenFlag is BPF_F_TOKEN_FD (include/uapi/linux/bpf.h).
const tokenFlag = 1 << 16

func (p *user) createMap(mapType uint32, s shape, inner, btf uint32) (int, error) {
	a := attr(80, u32(0, mapType), u32(4, s.key), u32(8, s.value), u32(12, s.entries), u32(16, s.flags|p.flag), u32(20, inner), u32(76, p.token))
	switch mapType {
	case unix.BPF_MAP_TYPE_SK_STORAGE, unix.BPF_MAP_TYPE_INODE_STORAGE, unix.BPF_MAP_TYPE_TASK_STORAGE, unix.BPF_MAP_TYPE_CGRP_STORAGE:
		for _, f := range []field{u32(48, btf), u32(52, 1), u32(56, 1)} {
			f(a)
		}
	case unix.BPF_MAP_TYPE_STRUCT_OPS:
		u32(60, 1)(a)
	}
	return bpf(unix.BPF_MAP_CREATE, a)
}

// loadBTF loads the description of an int.
func (p *user) loadBTF() (int, error) {
	const header, types = 24, 16
	names := "\x00int\x00"
	b := make([]byte, header+types, header+types+len(names))
	o := binary.NativeEndian
	o.PutUint16(b, 0xeb9f)
	b[2] = 1
	o.PutUint32(b[4:], header)
	o.PutUint32(b[12:], types)
	o.PutUint32(b[16:], types)
	o.PutUint32(b[20:], uint32(len(names)))
	for i, v := range []uint32{1, 1 << 24, 4, 32} {
		o.PutUint32(b[header+4*i:], v)
	}
	b = append(b, names...)
	return bpf(unix.BPF_BTF_LOAD, attr(40, pointer(0, b), u32(16, uint32(len(b))), u32(32, p.flag), u32(36, p.token)))
}

func (p *user) loadProgram(programType, attach uint32, code []byte) (int, error) {
	license := []byte("GPL\x00")
	a := attr(148, u32(0, programType), u32(4, uint32(len(code)/8)), pointer(8, code), pointer(16, license),
		u32(44, p.flag), u32(68, attach), u32(144, p.token))
	fd, err := bpf(unix.BPF_PROG_LOAD, a)
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	return fd, err
}

// An instruction of BPF.
type instruction struct {
	code     byte
	dst, src byte
	offset   int16
	value    int32
}

func assemble(program ...instruction) []byte {
	var b []byte
	for _, i := range program {
		registers := i.src<<4 | i.dst
		if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 { // big endian
			registers = i.dst<<4 | i.src
		}
		b = append(b, i.code, registers)
		b = binary.NativeEndian.AppendUint16(b, uint16(i.offset))
		b = binary.NativeEndian.AppendUint32(b, uint32(i.value))
	}
	return b
}

// returnOne is a program that the kernel takes for every type: some may return 1 only.
func returnOne() []byte {
	return assemble(instruction{code: 0xb7, value: 1}, instruction{code: 0x95})
}

// Functions that programs can call (enum bpf_func_id).
const (
	mapLookup       = 1
	getCurrentTask  = 35
	probeReadKernel = 113
)

// readKernel counts on a socket filter that reads where the kernel keeps this process,
// and the first bytes there.
func (p *user) readKernel() error {
	m, err := p.createMap(unix.BPF_MAP_TYPE_ARRAY, shape{4, 16, 1, 0}, 0, 0)
	if err != nil {
		return err
	}
	filter, err := p.loadProgram(unix.BPF_PROG_TYPE_SOCKET_FILTER, 0, assemble(
		instruction{code: 0x85, value: getCurrentTask},
		instruction{code: 0xbf, dst: 7},
		instruction{code: 0xbf, dst: 3},
		instruction{code: 0xbf, dst: 1, src: 10}, instruction{code: 0x07, dst: 1, value: -16},
		instruction{code: 0xb7, dst: 2, value: 8},
		instruction{code: 0x85, value: probeReadKernel},
		instruction{code: 0xb7}, instruction{code: 0x63, dst: 10, offset: -4},
		instruction{code: 0xbf, dst: 2, src: 10}, instruction{code: 0x07, dst: 2, value: -4},
		instruction{code: 0x18, dst: 1, src: 1, value: int32(m)}, instruction{},
		instruction{code: 0x85, value: mapLookup},
		instruction{code: 0x15, offset: 3},
		instruction{code: 0x79, dst: 1, src: 10, offset: -16},
		instruction{code: 0x7b, src: 7}, instruction{code: 0x7b, src: 1, offset: 8},
		instruction{code: 0xb7}, instruction{code: 0x95},
	))
	if err != nil {
		p.say("read", err)
		return nil
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err == nil {
		err = unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_ATTACH_BPF, filter)
	}
	if err == nil {
		_, err = unix.Write(pair[1], []byte("x"))
	}
	if err != nil {
		return err
	}
	key, value := make([]byte, 4), make([]byte, 16)
	if _, err := bpf(unix.BPF_MAP_LOOKUP_ELEM, attr(32, u32(0, uint32(m)), pointer(8, key), pointer(16, value))); err != nil {
		return err
	}
	kernel := binary.NativeEndian.Uint64(value)>>63 == 1
	if runtime.GOARCH == "s390x" { // its kernel has an address space of its own
		kernel = binary.NativeEndian.Uint64(value) != 0
	}
	if !kernel {
		err = fmt.Errorf("%#x, which is no address of the kernel", value)
	}
	p.say("read", err)
	return nil
}

// A field of union bpf_attr.
type field func(attr []byte)

func u32(offset int, value uint32) field {
	return func(attr []byte) { binary.NativeEndian.PutUint32(attr[offset:], value) }
}

func pointer(offset int, to []byte) field {
	return func(attr []byte) {
		binary.NativeEndian.PutUint64(attr[offset:], uint64(uintptr(unsafe.Pointer(&to[0]))))
	}
}

func attr(size int, fields ...field) []byte {
	a := make([]byte, size)
	for _, f := range fields {
		f(a)
	}
	return a
}

// bpf calls again where a signal, with which Go switches goroutines, has interrupted
// the verifier.
func bpf(cmd uintptr, attr []byte) (int, error) {
	fd, errno := uintptr(0), unix.EAGAIN
	for errno == unix.EAGAIN {
		fd, _, errno = syscall.Syscall(unix.SYS_BPF, cmd, uintptr(unsafe.Pointer(&attr[0])), uintptr(len(attr)))
	}
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}
