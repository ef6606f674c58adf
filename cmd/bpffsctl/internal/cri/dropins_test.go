package cri

import "testing"

func TestDropIns(t *testing.T) {
	for _, tt := range []struct {
		name, version string
		want          DropIns
		passes        bool
	}{
		{"containerd", "1.6.20~ds1", DropInsIgnored, false},
		{"containerd", "v2.0.5", DropInsIgnored, false},
		{"containerd", "v2.1.0", DropInsRead, false},
		{"containerd", "devel", DropInsUnknown, false},
		{"cri-o", "1.37.0", DropInsWithoutDEL, true},
		{"cri-o", "", DropInsWithoutDEL, true},
		{"another", "2.4.2", DropInsUnknown, false},
		{"", "", DropInsUnknown, false},
	} {
		v := Version{tt.name, tt.version}
		if got, passes := v.DropIns(), v.PassesBroken(); got != tt.want || passes != tt.passes {
			t.Errorf("%q %q: got %q, %v, want %q, %v", tt.name, tt.version, got, passes, tt.want, tt.passes)
		}
	}
}
