package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/cni-bpffs/cni-bpffs/internal/netconf"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// errNotChained says that there is no result to hand on.
var errNotChained = errors.New("bpffs is a chained plugin: put it after the one that creates the interface")

// prevResult returns the result of the plugins before this one, whatever version
// it has.
func prevResult(c call) (*types100.Result, error) {
	r, err := parseResult(c.RawPrevResult, c.CNIVersion)
	if err != nil {
		return nil, c.PrevResultError(err)
	}
	return r, nil
}

// parseResult reads a result. One that does not name its version has that of the
// configuration.
func parseResult(raw json.RawMessage, configVersion string) (*types100.Result, error) {
	if len(raw) == 0 || bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return nil, errNotChained
	}
	r := &types100.Result{}
	if err := json.Unmarshal(raw, r); err != nil {
		return nil, err
	}
	if err := checkNulls(r); err != nil {
		return nil, err
	}
	r.CNIVersion = cmp.Or(r.CNIVersion, configVersion)
	converted, err := convert(raw, r)
	if err != nil {
		return nil, err
	}
	return converted, checkAddresses(converted)
}

// eachLocalMapDir calls do with each directory of the local maps that a result names,
// whatever else is in it; with none if it cannot be read.
func eachLocalMapDir(raw json.RawMessage, do func(dir string)) {
	var r struct{ Interfaces json.RawMessage }
	if json.Unmarshal(raw, &r) != nil {
		return
	}
	done := make(map[string]bool)
	_ = netconf.EachElement(r.Interfaces, func(_ int, element json.RawMessage) error {
		var i struct{ Name string }
		_ = json.Unmarshal(element, &i) // what cannot be read names no map
		m, ok := bpffs.ParseLocalMap(i.Name)
		if dir := path.Dir(m.Path); ok && !done[dir] {
			done[dir] = true
			do(dir)
		}
		return nil
	})
}

// withPod returns the result with an entry of the pod where it has one interface,
// and that without a sandbox, as Calico and Azure answer. Multus takes the only
// interface of a result for the pod's, and all addresses for its own; with a path
// beside it, it looks for entries with a sandbox, and for the addresses of these. The
// entry has a MAC if that can be had: podman takes none without.
func (c call) withPod(r *types100.Result) *types100.Result {
	if len(c.Maps) == 0 || len(r.Interfaces) != 1 {
		return r
	}
	only := *r.Interfaces[0]
	if only.Sandbox != "" || path.IsAbs(only.Name) { // a path is one of ours
		return r
	}
	with := *r
	if only.Name == c.IfName {
		only.Sandbox, only.Mac = c.Netns, cmp.Or(only.Mac, macOf(c.Netns, c.IfName))
		with.Interfaces = []*types100.Interface{&only}
		return &with
	}
	pod := &types100.Interface{Name: c.IfName, Sandbox: c.Netns, Mac: macOf(c.Netns, c.IfName)}
	with.Interfaces = []*types100.Interface{&only, pod}
	with.IPs = nil
	for _, ip := range r.IPs {
		ip = ip.Copy()
		if ip.Interface != nil {
			ip.Interface = new(1)
		}
		with.IPs = append(with.IPs, ip)
	}
	return &with
}

// macOf returns the hardware address of an interface in a network namespace, empty
// if it has none or cannot be asked.
func macOf(netns, ifName string) (mac string) {
	_ = inNetNS(netns, func() {
		if i, err := net.InterfaceByName(ifName); err == nil {
			mac = i.HardwareAddr.String()
		}
	})
	return mac
}

// convert returns the result in the newest version. r is what was read of raw, and
// all of it unless that is older than 1.0.0.
func convert(raw json.RawMessage, r *types100.Result) (*types100.Result, error) {
	current, err := version.GreaterThanOrEqualTo(r.CNIVersion, "1.0.0")
	if err != nil {
		return nil, err
	}
	if current {
		return types100.GetResult(r)
	}
	old := types.PluginConf{CNIVersion: r.CNIVersion}
	if err := json.Unmarshal(raw, &old.RawPrevResult); err != nil {
		return nil, err
	}
	if err := version.ParsePrevResult(&old); err != nil {
		return nil, err
	}
	return types100.GetResult(old.PrevResult)
}

// checkAddresses refuses an address that libcni would print as "<nil>", and one of
// an interface that is not there: with our entries it would become one of a path.
func checkAddresses(r *types100.Result) error {
	for i, ip := range r.IPs {
		if ip.Address.IP == nil {
			return fmt.Errorf("ips[%d] has no address", i)
		}
		if of := ip.Interface; of != nil && (*of < 0 || *of >= len(r.Interfaces)) {
			return fmt.Errorf("ips[%d].interface is %d, which is not an index of interfaces", i, *of)
		}
	}
	return nil
}

// checkNulls refuses a null where libcni's conversion expects an object, and would
// crash.
func checkNulls(r *types100.Result) error {
	for i, v := range r.Interfaces {
		if v == nil {
			return fmt.Errorf("interfaces[%d] is null but must be an object", i)
		}
	}
	for i, v := range r.IPs {
		if v == nil {
			return fmt.Errorf("ips[%d] is null but must be an object", i)
		}
	}
	return nil
}

// printResult prints the result in the version of the configuration.
func (p *plugin) printResult(cniVersion string, r *types100.Result) error {
	converted, err := r.GetAsVersion(cniVersion)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(p.stdout).Encode(lean(converted)); err != nil {
		return fmt.Errorf("%w: printing the result: %w", errInput, err)
	}
	return nil
}

// lean returns what encodes to the same JSON object as the result. The library's own
// encoder decodes its text once more, into maps, to find out that there is no DNS.
func lean(r types.Result) any {
	current, ok := r.(*types100.Result)
	if !ok {
		return r
	}
	type fields types100.Result // without the encoder
	l := struct {
		*fields

		DNS *types.DNS `json:"dns,omitempty"`
	}{fields: (*fields)(current)}
	if !current.DNS.IsEmpty() {
		l.DNS = &current.DNS
	}
	return l
}
