package cri

import (
	"testing"

	cni "github.com/containernetworking/cni/pkg/version"
)

func TestLibcni(t *testing.T) {
	for _, tt := range []struct {
		name, version string
		says          string
		want          Libcni
	}{
		{"containerd", "1.6.20~ds1", "containerd 1.6.20~ds1", Libcni{true, "1.0.0", false}},
		{"containerd", "v1.7.27", "containerd 1.7.27", Libcni{true, "1.0.0", false}},
		{"containerd", "v2.0.5", "containerd 2.0.5", Libcni{true, "1.1.0", false}},
		{"containerd", "v2.1.0", "containerd 2.1.0", Libcni{true, "1.1.0", true}},
		{"containerd", "2.4.2", "containerd 2.4.2", Libcni{true, "1.1.0", true}},
		{"containerd", "v2.1.5-k3s1", "containerd 2.1.5-k3s1", Libcni{true, "1.1.0", true}},
		{"containerd", "v3.0.0-rc.1", "containerd 3.0.0-rc.1", Libcni{true, "1.1.0", true}},
		{"containerd", "devel", "containerd devel", Libcni{Newest: cni.Current()}},
		{"containerd", "2", "containerd 2", Libcni{Newest: cni.Current()}},
		{"containerd", "v10.x", "containerd 10.x", Libcni{Newest: cni.Current()}},
		{"containerd", "", "containerd", Libcni{Newest: cni.Current()}},
		{"cri-o", "1.33.0", "cri-o 1.33.0", Libcni{Newest: cni.Current()}},
		{"cri-o", "2.4.2", "cri-o 2.4.2", Libcni{Newest: cni.Current()}},
		{"", "2.4.2", "2.4.2", Libcni{Newest: cni.Current()}},
		{"", "", "no runtime answers", Libcni{Newest: cni.Current()}},
	} {
		v := Version{tt.name, tt.version}
		if got := v.Libcni(); got != tt.want || v.String() != tt.says {
			t.Errorf("%q %q: got %+v, %q, want %+v, %q", tt.name, tt.version, got, v, tt.want, tt.says)
		}
	}
}
