package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
	"github.com/cni-bpffs/cni-bpffs/test/internal/meminfo"
)

// stand makes a place that has a bpffs with so many endpoints, which have a map each,
// and no other one. It returns what the kernel keeps for them.
func (l *lab) stand(name string, endpoints int) (p place, kernel string, err error) {
	progress("making %s endpoints", thousands(endpoints))
	root, err := l.newBPF(name)
	if err != nil {
		return nil, "", err
	}
	before, err := meminfo.Slab()
	if err != nil {
		return nil, "", err
	}
	maps, err := l.fillWithMaps(root, endpoints)
	if err != nil {
		return nil, "", err
	}
	after, err := meminfo.Slab()
	if err != nil {
		return nil, "", err
	}
	kernel = fmt.Sprintf("The kernel's Slab grows by %d MiB for %s endpoints with one map each; the maps have %d MiB.",
		(after-before)>>20, thousands(endpoints), maps>>20)
	if p, err = newPlace(); err != nil {
		return nil, "", err
	}
	err = p.do(func() error { return errors.Join(l.show(root), syscall.Unmount(root, syscall.MNT_DETACH)) })
	return p, kernel, errors.Join(err, syscall.Unmount(root, syscall.MNT_DETACH))
}

// fillWithMaps makes endpoints as ADD does, of pods that run. It returns the memory of
// their maps.
func (n *node) fillWithMaps(root string, want int) (memory uint64, err error) {
	array, err := bpffs.ParseMapType("array")
	if err != nil {
		return 0, err
	}
	e, err := bpffs.CreateEndpoints(context.Background(), root)
	if err != nil {
		return 0, err
	}
	defer e.Close()
	decls := []bpffs.MapDecl{{Name: "policy_", Spec: bpffs.MapSpec{Type: array, KeySize: 4, ValueSize: 16, MaxEntries: 2}}} // created1
	for i := range want {
		size, err := n.fillOne(e, i, decls)
		if err != nil {
			return 0, err
		}
		memory += size
	}
	return memory, nil
}

func (n *node) fillOne(e *bpffs.Endpoints, number int, decls []bpffs.MapDecl) (memory uint64, err error) {
	id, _, err := e.Allocate(bpffs.Attachment{Network: netName, ContainerID: containerID("fill", number), IfName: "eth0"}, "", decls[0].Name)
	if err != nil {
		return 0, err
	}
	made, err := bpffs.NewMaps(decls)
	if err != nil {
		return 0, err
	}
	defer made.Close()
	if _, err := e.PinMaps(id, "", decls, made); err != nil {
		return 0, err
	}
	if err := e.SetDetails(id, bpffs.Details{Pod: fmt.Sprintf("default/web-%d", number), NetNS: n.netns}); err != nil {
		return 0, err
	}
	maps, err := bpffs.NewMapDir(e.Root(), "")
	if err != nil {
		return 0, err
	}
	info, err := bpffs.ReadMap(maps.LocalMapPath(decls[0].Name, id))
	return info.Memory, err
}
