package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"videotutorials/messagestore"
)

// What of the system a process may run, beside each component and aggregator by its name.
const (
	partWeb         = "web"
	partComponents  = "components"
	partAggregators = "aggregators"
)

// share is what of the system this process does; the zero value is all of it.
type share struct {
	parts   map[string]bool // nil: all
	members int             // that share the work of each component; 0: there is one
	member  int             // which of them this process is, from 1 on; 0: none
}

// newShare takes what --run and --group say.
func newShare(run []string, group string) (share, error) {
	var s share
	for _, name := range run {
		if s.parts == nil {
			s.parts = map[string]bool{}
		}
		s.parts[strings.TrimSpace(name)] = true
	}
	if group == "" {
		return s, nil
	}
	member, members, one := strings.Cut(group, "/")
	if !one {
		member, members = "0", group
	}
	var wrong [2]error
	s.member, wrong[0] = strconv.Atoi(member)
	s.members, wrong[1] = strconv.Atoi(members)
	if errors.Join(wrong[:]...) != nil || s.members < 1 || s.member < 0 || s.member > s.members || one && s.member == 0 {
		return share{}, fmt.Errorf("COMPONENT_GROUP (--group) is %q: it takes one of how many this process is, like 2/5, or, where it runs no components, how many there are, like 5", group)
	}
	return s, nil
}

// names are the parts that were named.
func (s share) names() []string { return slices.Sorted(maps.Keys(s.parts)) }

// runs reports whether this process runs a part.
func (s share) runs(part string) bool { return s.parts == nil || s.parts[part] }

// groups returns what each component is made for: once, or for each member of the group.
func (s share) groups() []messagestore.Group {
	if s.members < 2 {
		return []messagestore.Group{{}}
	}
	all := make([]messagestore.Group, s.members)
	for i := range all {
		all[i] = messagestore.Group{Member: i, Size: s.members}
	}
	return all
}

// does reports whether this process does the work of a component's subscription.
func (s share) does(name string, group messagestore.Group) bool {
	return (s.runs(partComponents) || s.runs(componentOf(name))) && (group.Size == 0 || s.member == group.Member+1)
}

// counts reports whether this process does the work of an aggregator.
func (s share) counts(name string) bool { return s.runs(partAggregators) || s.runs(name) }

// check refuses a part that there is not, and a process that shares the work of components
// without saying which share is its own.
func (s share) check(subscriptions []messagestore.Status) error {
	known := []string{partWeb, partComponents, partAggregators}
	for _, status := range subscriptions {
		name := status.Name
		if !status.Projection {
			name = componentOf(name)
		}
		if !slices.Contains(known, name) {
			known = append(known, name)
		}
	}
	for _, name := range s.names() {
		if !slices.Contains(known, name) {
			return fmt.Errorf("RUN (--run) names %q, which is no part of the system: there are %s", name, strings.Join(known, ", "))
		}
	}
	for _, status := range subscriptions {
		if s.members > 1 && s.member == 0 && !status.Projection && (s.runs(partComponents) || s.runs(componentOf(status.Name))) {
			return fmt.Errorf("COMPONENT_GROUP (--group) is %d, and this process runs components: say also which of the %d it is, like 1/%d", s.members, s.members, s.members)
		}
	}
	return nil
}

// componentOf names the component of a subscription as one types it: "sendEmail:commands" is
// send-email's.
func componentOf(subscription string) string {
	name, _, _ := strings.Cut(subscription, ":")
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
