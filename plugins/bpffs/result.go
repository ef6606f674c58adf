package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
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

// checkAddresses refuses an address that libcni would print as "<nil>".
func checkAddresses(r *types100.Result) error {
	for i, ip := range r.IPs {
		if ip.Address.IP == nil {
			return fmt.Errorf("ips[%d] has no address", i)
		}
	}
	return nil
}

// checkNulls refuses a null where libcni's conversion expects an object, and would
// crash.
func checkNulls(r *types100.Result) error {
	for i, v := range r.Interfaces {
		if v == nil {
			return fmt.Errorf("interfaces[%d] is null, wanted an object", i)
		}
	}
	for i, v := range r.IPs {
		if v == nil {
			return fmt.Errorf("ips[%d] is null, wanted an object", i)
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
	text, err := json.Marshal(converted)
	if err != nil {
		return err
	}
	if _, err := p.stdout.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("%w: printing the result: %w", errInput, err)
	}
	return nil
}
