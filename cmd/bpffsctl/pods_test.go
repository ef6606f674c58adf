package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testcri"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// confOf returns a directory with a network of the plugins.
func confOf(t *testing.T, plugins string) string {
	t.Helper()
	dir := t.TempDir()
	list := `{"cniVersion":"1.0.0","name":"pods","plugins":[` + plugins + `]}`
	testns.Must(t, os.WriteFile(filepath.Join(dir, "10.conflist"), []byte(list), 0o600))
	return dir
}

const withUs = `{"type":"bridge"},{"type":"bpffs"}`

// listed returns the containers that bpffsctl list has in the state.
func listed(t *testing.T, state, confDir, socket string, args ...string) (containers []string, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	args = append([]string{"list", "-o", "json", "--sort-by", "container", "--state", state, "--conf-dir", confDir, "--cri-socket", socket}, args...)
	if code := run(t.Context(), args, &out, &errs); code != exitDone {
		t.Errorf("bpffsctl %q: got exit code %d, want %d: %s", args, code, exitDone, errs.String())
	}
	var list inventory.List
	testns.Must(t, json.Unmarshal([]byte(out.String()), &list))
	for _, e := range list.Endpoints {
		containers = append(containers, e.Container)
		if (e.ID == 0) != e.Is(inventory.NoEndpoint) {
			t.Errorf("got %+v", e)
		}
	}
	return containers, errs.String()
}

// A pod that runs on the network without an endpoint is in the list; one that does not
// need any is not.
func TestPodsWithoutEndpoint(t *testing.T) {
	n := newNode(t, "a")
	r := testcri.Start(t, testcri.Pod{ID: "a", Namespace: "my-ns", Name: "pod-a"},
		testcri.Pod{ID: "b", Namespace: "my-ns", Name: "pod-b"}, testcri.Pod{ID: "c", Namespace: "other", Name: "pod-c"},
		testcri.Pod{ID: "host", Host: true}, testcri.Pod{ID: "ended", NotReady: true}, testcri.Pod{ID: "deleted", Gone: true})
	conf := confOf(t, withUs)
	for _, row := range []struct {
		name string
		conf string
		args []string
		want []string
	}{
		{"all", conf, nil, []string{"b", "c"}},
		{"of a pod", conf, []string{"--pod", "my-ns/pod-b"}, []string{"b"}},
		{"of a network", conf, []string{"--network", "other"}, nil},
		{"with a root, beside which there may be others", conf, []string{"--root", n.root}, nil},
		{"where the network does not have the plugin", confOf(t, `{"type":"bridge"}`), nil, nil},
		{"where there is no network", t.TempDir(), nil, nil},
	} {
		got, errs := listed(t, "no-endpoint", row.conf, r.Socket, row.args...)
		if diff := cmp.Diff(row.want, got); diff != "" || errs != "" {
			t.Errorf("%s: standard error %q (-want +got):\n%s", row.name, errs, diff)
		}
	}
	var out, errs strings.Builder
	run(t.Context(), []string{"list", "--conf-dir", conf, "--cri-socket", r.Socket}, &out, &errs)
	wantWords(t, out.String(), n.ids["a"], "-      pods     my-ns/pod-b  b          -", "no-endpoint\n")
	wantWords(t, errs.String(), "endpoints: 1,", "not ok: 0; pods without an endpoint: 2\n")
	testns.Must(t, syscall.Unmount(n.root, 0))
	if got, _ := listed(t, "no-endpoint", conf, r.Socket); len(got) != 3 {
		t.Errorf("after umount: got %q, want all three pods", got)
	}
	testns.Mount(t, "bpf", n.root, "mode=0700")
}

// Pods are on the network that this runtime uses, whatever another one would do with a
// file that it cannot read.
func TestPodsOfTheRuntimesNetwork(t *testing.T) {
	newNode(t, "a")
	const list = `{"cniVersion":"1.0.0","name":"pods","plugins":[` + withUs + `]}`
	brokenList := testns.Files(t, map[string]string{"05.conflist": "{", "10.conflist": list})
	brokenDropIn := testns.Files(t, map[string]string{"10.conflist": list, "pods/x.conf": "{"})
	for _, row := range []struct {
		name, runtime, release, conf string
		want                         []string
	}{
		{"CRI-O passes by a broken list", "cri-o", "1.37.0", brokenList, []string{"b"}},
		{"containerd does not", "containerd", "v2.4.2", brokenList, nil},
		{"a drop-in file that broke later", "containerd", "v2.4.2", brokenDropIn, []string{"b"}},
	} {
		r := testcri.Start(t, testcri.Pod{ID: "b"})
		r.Name, r.Release = row.runtime, row.release
		got, errs := listed(t, "no-endpoint", row.conf, r.Socket)
		if diff := cmp.Diff(row.want, got); diff != "" || errs != "" {
			t.Errorf("%s: standard error %q (-want +got):\n%s", row.name, errs, diff)
		}
	}
}

// Whatever is wrong with the runtime, the endpoints are listed, and soon.
func TestListWithoutRuntime(t *testing.T) {
	newNode(t, "a")
	conf := confOf(t, withUs)
	silent := testcri.Start(t, testcri.Pod{ID: "b"})
	silent.Silence()
	file := filepath.Join(t.TempDir(), "file")
	testns.Must(t, os.WriteFile(file, nil, 0o600))
	hangs := testcri.Start(t)
	hangs.Hangs = true
	for _, socket := range []string{silent.Socket, hangs.Socket, file, file + "/no"} {
		start := time.Now()
		got, errs := listed(t, "ok", conf, socket)
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("%s: it took %v", socket, took)
		}
		if diff := cmp.Diff([]string{"a"}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", socket, diff)
		}
		wantWords(t, errs, "pods without an endpoint are not listed", socket)
	}
	testns.Mount(t, "tmpfs", "/run", "")
	if _, errs := listed(t, "ok", conf, ""); errs != "" {
		t.Errorf("without any socket: got %q, want no note", errs)
	}
}
