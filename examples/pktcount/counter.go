package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// What bpffs is to declare: the map, which it creates, and the places of two
// links, which this plugin pins there. bpffs removes them all.
const (
	statsName = "stats_"
	rxName    = "pktcount_rx_"
	txName    = "pktcount_tx_"
)

// counters is a value of the map, for one CPU.
type counters struct {
	Packets, Bytes uint64
}

// A direction is one of the two in which packets pass the veth pair.
type direction struct {
	name string          // of its program, and of the pin of its link
	key  int64           // in the map
	hook ebpf.AttachType // on the host's end of the pair
}

// directions returns both, named as the container sees them. At the host's end it
// is the other way round: what comes in there is what the container sent.
func directions() []direction {
	return []direction{
		{rxName, 0, ebpf.AttachTCXEgress},
		{txName, 1, ebpf.AttachTCXIngress},
	}
}

// program returns what counts the direction in stats. A program with more to do
// would be written in C and embedded with bpf2go.
func (d direction) program(stats *ebpf.Map) *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{
		Name: d.name,
		Type: ebpf.SchedCLS,
		Instructions: asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1), // the packet
			asm.StoreImm(asm.RFP, -4, d.key, asm.Word),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -4),
			asm.LoadMapPtr(asm.R1, stats.FD()),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "next"),
			asm.Mov.Imm(asm.R1, 1),
			asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0), // Packets
			asm.LoadMem(asm.R1, asm.R6, 0, asm.Word),        // its length, with the Ethernet header
			asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 8), // Bytes
			asm.Mov.Imm(asm.R0, -1).WithSymbol("next"),      // TCX_NEXT: others decide about it
			asm.Return(),
		},
	}
}

// start attaches the program to the interface and pins the link, which from then
// on lives as long as its pin.
func (d direction) start(c *container) error {
	stats, err := openStats(c.pins[statsName])
	if err != nil {
		return err
	}
	defer stats.Close()
	prog, err := ebpf.NewProgram(d.program(stats))
	if err != nil {
		return err
	}
	defer prog.Close()
	l, err := link.AttachTCX(link.TCXOptions{Interface: c.veth, Program: prog, Attach: d.hook})
	if err != nil {
		return err
	}
	defer l.Close()
	return l.Pin(c.pins[d.name])
}

// check reports what start would have done otherwise.
func (d direction) check(c *container) error {
	stats, err := openStats(c.pins[statsName])
	if err != nil {
		return err
	}
	defer stats.Close()
	l, info, err := openLink(c.pins[d.name])
	if err != nil {
		return err
	}
	defer l.Close()
	tcx := info.TCX()
	if hook := ebpf.AttachType(tcx.AttachType); int(tcx.Ifindex) != c.veth || hook != d.hook {
		return fmt.Errorf("attached to %v of interface %d, wanted %v of %d", hook, tcx.Ifindex, d.hook, c.veth)
	}
	prog, err := ebpf.NewProgramFromID(info.Program)
	if err != nil {
		return err
	}
	defer prog.Close()
	return d.checkProgram(prog, stats)
}

func (d direction) checkProgram(prog *ebpf.Program, stats *ebpf.Map) error {
	has, err := prog.Info()
	if err != nil {
		return err
	}
	want, err := stats.Info()
	if err != nil {
		return err
	}
	maps, _ := has.MapIDs()
	id, _ := want.ID()
	if has.Name != d.name || !slices.Equal(maps, []ebpf.MapID{id}) {
		return fmt.Errorf("the program %s uses the maps %v, wanted %s and %d", has.Name, maps, d.name, id)
	}
	return nil
}

// stop detaches the program from the interface. prevResult may be old and its
// paths another container's by now, so a link to another interface is left alone;
// and so is the pin, which could change hands before it is removed.
func (d direction) stop(c *container) error {
	l, info, err := openLink(c.pins[d.name])
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.Close()
	if int(info.TCX().Ifindex) != c.veth {
		return nil
	}
	return l.Detach()
}

// openLink opens a link that start has pinned.
func openLink(pin string) (link.Link, *link.Info, error) {
	l, err := link.LoadPinnedLink(pin, nil)
	if err != nil {
		return nil, nil, err
	}
	info, err := l.Info()
	if err == nil && info.TCX() == nil {
		err = fmt.Errorf("it is a link of type %v, wanted TCX", info.Type)
	}
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return l, info, nil
}

// openStats opens the map that bpffs has created.
func openStats(pin string) (*ebpf.Map, error) {
	m, err := ebpf.LoadPinnedMap(pin, nil)
	if err != nil {
		return nil, err
	}
	want := ebpf.MapSpec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 16, MaxEntries: 2}
	if err := want.Compatible(m); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", pin, err), m.Close())
	}
	return m, nil
}
