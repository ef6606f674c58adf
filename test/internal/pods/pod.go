package pods

import (
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netns"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// A Pod is a network namespace.
type Pod struct {
	Name        string
	NetNS       string // its path
	ContainerID string // that cnitool gives it
	node        *Node

	// After Add:
	Addr   netip.Addr
	Pins   map[string]string // paths by declared name
	Result []byte            // of ADD
}

// NewPod makes the network namespace of a pod.
func (n *Node) NewPod(name string) (*Pod, error) {
	path := filepath.Join(netnsDir, name)
	sum := sha512.Sum512([]byte(path))
	p := &Pod{Name: name, NetNS: path, ContainerID: fmt.Sprintf("cnitool-%x", sum[:10]), node: n}
	return p, onOwnThread(func() error {
		ns, err := netns.NewNamed(name)
		if err != nil {
			return err
		}
		defer ns.Close()
		return silence()
	})
}

// Add attaches the pod to the network.
func (p *Pod) Add() error {
	result, err := p.node.Run(nil, nil, "cnitool", "add", Network, p.NetNS)
	if err != nil {
		return err
	}
	var r struct {
		IPs []struct{ Address netip.Prefix }
	}
	if err := json.Unmarshal(result, &r); err != nil {
		return err
	}
	if len(r.IPs) != 1 {
		return fmt.Errorf("%s has the addresses %v, wanted one", p.Name, r.IPs)
	}
	maps, err := bpffs.LocalMaps(result)
	if err != nil {
		return err
	}
	p.Addr, p.Pins, p.Result = r.IPs[0].Address.Addr(), make(map[string]string), result
	for _, m := range maps {
		p.Pins[m.Name] = m.Path
	}
	if err := remember(Bridge); err != nil {
		return err
	}
	return p.Do(func() error { return remember("eth0") })
}

// Check compares the attachment with what Add made.
func (p *Pod) Check() error {
	_, err := p.node.Run(nil, nil, "cnitool", "check", Network, p.NetNS)
	return err
}

// Del detaches the pod from the network.
func (p *Pod) Del() error {
	_, err := p.node.Run(nil, nil, "cnitool", "del", Network, p.NetNS)
	return err
}

// Do calls f on a thread in the pod's network namespace. Sockets that f opens
// stay there.
func (p *Pod) Do(f func() error) error {
	return onOwnThread(func() error {
		ns, err := netns.GetFromPath(p.NetNS)
		if err != nil {
			return err
		}
		defer ns.Close()
		if err := netns.Set(ns); err != nil {
			return err
		}
		return f()
	})
}

// onOwnThread calls f on a thread that ends afterwards, whatever f did to it.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // until the goroutine ends, and the thread with it
		done <- f()
	}()
	return <-done
}
