package main

import (
	"fmt"
	"net"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// What a container sends. The kernel sends other packets, too, of other sizes.
const (
	datagrams = 5
	payload   = 1000
)

// A program counts the datagrams that leave an interface, in a map of its own.
// cilium/ebpf finds the token in the mount table by itself.
type program struct {
	counts *ebpf.Map
	loaded *ebpf.Program
}

func (p *program) load() (string, error) {
	var err error
	if p.counts, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}); err != nil {
		return "", err
	}
	p.loaded, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, AttachType: ebpf.AttachTCXEgress,
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), // __sk_buff.len
			asm.JNE.Imm(asm.R2, node.Overhead+payload, "next"),
			asm.StoreImm(asm.RFP, -4, 0, asm.Word),
			asm.LoadMapPtr(asm.R1, p.counts.FD()),
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
	return "done", err
}

// count attaches the program, and wants it to count what the container sends.
func (p *program) count() (string, error) {
	eth0, err := net.InterfaceByName("eth0")
	if err != nil {
		return "", err
	}
	attached, err := link.AttachTCX(link.TCXOptions{Interface: eth0.Index, Program: p.loaded, Attach: ebpf.AttachTCXEgress})
	if err != nil {
		return "", err
	}
	defer attached.Close()
	const discard = 9 // the port
	socket, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return "", err
	}
	defer socket.Close()
	for range datagrams {
		if _, err := socket.WriteTo(make([]byte, payload), &net.UDPAddr{IP: net.ParseIP(node.Gateway), Port: discard}); err != nil {
			return "", err
		}
	}
	var counted uint64
	if err := p.counts.Lookup(uint32(0), &counted); err != nil {
		return "", err
	}
	if counted != datagrams {
		return "", fmt.Errorf("the program counted %d datagrams, want %d", counted, datagrams)
	}
	return fmt.Sprintf("it counted %d", counted), nil
}

func (p *program) pin() (string, error) {
	return "done", p.counts.Pin(filepath.Join(tokenDir, "sent"))
}

// loads returns an attempt to load a program that does nothing.
func loads(kind ebpf.ProgramType) func() (string, error) {
	return func() (string, error) {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: kind, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
		})
		if err != nil {
			return "", err
		}
		return "", p.Close()
	}
}
