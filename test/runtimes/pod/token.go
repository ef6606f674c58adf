package main

import (
	"fmt"
	"net"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// withToken uses what a token delegates, and what it does not. cilium/ebpf finds the
// token by itself.
func withToken() []attempt {
	return slices.Concat([]attempt{
		only("count what leaves eth0", count),
		only("pin in token", pinAndRemove),
		only("delegate more", delegateMore),
		only("make a bpffs", makeBPFFS),
	}, makeMaps(), loadPrograms())
}

// makeBPFFS makes a bpffs that delegates everything.
func makeBPFFS() error {
	fd, err := unix.Fsopen("bpf", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.FsconfigSetString(fd, "delegate_cmds", "any"); err != nil {
		return err
	}
	return unix.FsconfigCreate(fd)
}

func makeMaps() (attempts []attempt) {
	for _, spec := range []ebpf.MapSpec{
		{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1},
		{Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 1},
		{Type: ebpf.LRUHash, KeySize: 4, ValueSize: 8, MaxEntries: 1},
		{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1},
		{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Type: ebpf.SockMap, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Type: ebpf.Queue, ValueSize: 4, MaxEntries: 1},
		{Type: ebpf.RingBuf, MaxEntries: uint32(os.Getpagesize())},
	} {
		attempts = append(attempts, only("map "+spec.Type.String(), func() error {
			m, err := ebpf.NewMap(&spec)
			if err == nil {
				err = m.Close()
			}
			return err
		}))
	}
	return attempts
}

func loadPrograms() (attempts []attempt) {
	for _, spec := range []ebpf.ProgramSpec{
		{Type: ebpf.SchedCLS, AttachType: ebpf.AttachTCXEgress},
		{Type: ebpf.SchedCLS, AttachType: ebpf.AttachTCXIngress},
		{Type: ebpf.SchedACT},
		{Type: ebpf.SocketFilter},
		{Type: ebpf.CGroupSKB, AttachType: ebpf.AttachCGroupInetEgress},
		{Type: ebpf.CGroupSockAddr, AttachType: ebpf.AttachCGroupInet4Connect},
		{Type: ebpf.SockOps, AttachType: ebpf.AttachCGroupSockOps},
		{Type: ebpf.XDP, AttachType: ebpf.AttachXDP},
		{Type: ebpf.Kprobe},
		{Type: ebpf.TracePoint},
		{Type: ebpf.PerfEvent},
		{Type: ebpf.RawTracepoint},
	} {
		attempts = append(attempts, only(fmt.Sprintf("program %s %d", spec.Type, spec.AttachType), func() error { return load(spec) }))
	}
	return attempts
}

// load loads a program of the kind that does nothing.
func load(spec ebpf.ProgramSpec) error {
	spec.License, spec.Instructions = "GPL", asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
	p, err := ebpf.NewProgram(&spec)
	if err == nil {
		err = p.Close()
	}
	return err
}

// withMap calls use with a new map.
func withMap(use func(m *ebpf.Map) error) error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return err
	}
	defer m.Close()
	return use(m)
}

// pinAndRemove leaves the directory as it was, for other containers.
func pinAndRemove() error {
	const pin = tokenDir + "/mine"
	return withMap(func(m *ebpf.Map) error {
		if err := m.Pin(pin); err != nil {
			return err
		}
		return os.Remove(pin)
	})
}

// delegateMore changes what the pod's bpffs delegates.
func delegateMore() error {
	fd, err := unix.Fspick(unix.AT_FDCWD, tokenDir, unix.FSPICK_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.FsconfigSetString(fd, "delegate_maps", "any"); err != nil {
		return err
	}
	return unix.FsconfigReconfigure(fd)
}

// count attaches a program to eth0, and wants it to count.
func count() error {
	return withMap(func(m *ebpf.Map) error {
		p, err := counter(m)
		if err != nil {
			return err
		}
		defer p.Close()
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		attached, err := link.AttachTCX(link.TCXOptions{Interface: eth0.Index, Program: p, Attach: ebpf.AttachTCXEgress})
		if err != nil {
			return err
		}
		defer attached.Close()
		const packets = 5
		if err := send("10.244.79.1", fmt.Sprint(packets)); err != nil {
			return err
		}
		var counted uint64
		if err := m.Lookup(uint32(0), &counted); err != nil {
			return err
		}
		if counted < packets { // the kernel sends some of its own
			return fmt.Errorf("it counted %d packets, want %d", counted, packets)
		}
		return nil
	})
}

// counter loads a program that counts packets in the map.
func counter(m *ebpf.Map) (*ebpf.Program, error) {
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, AttachType: ebpf.AttachTCXEgress, Instructions: asm.Instructions{
			asm.StoreImm(asm.RFP, -4, 0, asm.Word),
			asm.LoadMapPtr(asm.R1, m.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -4),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "next"),
			asm.Mov.Imm(asm.R1, 1),
			asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
			asm.Mov.Imm(asm.R0, -1).WithSymbol("next"), // TCX_NEXT
			asm.Return(),
		},
	})
}
