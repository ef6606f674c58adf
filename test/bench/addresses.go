package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// addresses are those that host-local has taken on a node.
type addresses struct {
	*node
	dir  string
	many int
	last netip.Addr
}

func (n *node) newAddresses(name string) (*addresses, error) {
	a := &addresses{node: n, dir: n.path(name), last: netip.MustParseAddr("10.0.0.1")}
	return a, os.MkdirAll(filepath.Join(a.dir, netName), 0o755)
}

// path returns the path of a record of host-local.
func (a *addresses) path(name string) string { return filepath.Join(a.dir, netName, name) }

// take makes records of host-local until it has as many addresses as wanted.
func (a *addresses) take(want int) error {
	for ; a.many < want; a.many++ {
		a.last = a.last.Next()
		record := containerID("fill", a.many) + "\r\neth0"
		if err := os.WriteFile(a.path(a.last.String()), []byte(record), 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(a.path("last_reserved_ip.0"), []byte(a.last.String()), 0o600)
}

// hostLocal is an ADD of host-local. Its address is free again afterwards.
func (a *addresses) hostLocal() subject {
	number := 0
	conf := hostLocal(a.dir)
	return subject{"host-local", func() (time.Duration, error) {
		number++
		o, err := a.time(a.call("host-local", "ADD", containerID("address", number), conf))
		if err != nil {
			return 0, err
		}
		var result struct {
			IPs []struct{ Address netip.Prefix }
		}
		if err := json.Unmarshal(o.stdout, &result); err != nil || len(result.IPs) != 1 {
			return 0, fmt.Errorf("output %q: %w", o.stdout, err)
		}
		return o.took, os.Remove(a.path(result.IPs[0].Address.Addr().String()))
	}}
}
