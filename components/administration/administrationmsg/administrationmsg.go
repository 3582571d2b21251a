// Package administrationmsg is the wire contract of what administrators do: who writes or
// reads a message of this category imports this package and nothing else of it.
package administrationmsg

import "videotutorials/messagestore"

// Category holds one stream for each administrator: "administration-<userId>".
const Category messagestore.Category = "administration"

// PageOpened says that an administrator asked for a page. It is written before the page is
// answered.
type PageOpened struct {
	// AdminID is the UUID of the administrator.
	AdminID string `json:"adminId"`
	// Path is the path of the page without its query; that of its route where an address
	// stands in it.
	Path string `json:"path"`
	// Filter is what the query named, by the field: stream, category, type, trace, user or
	// id. What is searched for is not in it, and no address is.
	Filter map[string]string `json:"filter,omitempty"`
}

// MessageType returns "PageOpened".
func (PageOpened) MessageType() string { return "PageOpened" }

// SearchMade says that an administrator searched. What was searched for is not in it.
type SearchMade struct {
	// AdminID is the UUID of the administrator.
	AdminID string `json:"adminId"`
	// Kind is what was found: message, trace, user, address, stream, streams, type, category,
	// or nothing.
	Kind string `json:"kind"`
}

// MessageType returns "SearchMade".
func (SearchMade) MessageType() string { return "SearchMade" }

// DataRevealed says that an administrator was shown what is masked of a message.
type DataRevealed struct {
	// AdminID is the UUID of the administrator.
	AdminID string `json:"adminId"`
	// MessageID is the UUID of the message.
	MessageID string `json:"messageId"`
	// Fields are the names of what was shown, sorted; * is everything.
	Fields []string `json:"fields"`
}

// MessageType returns "DataRevealed".
func (DataRevealed) MessageType() string { return "DataRevealed" }

// AccountRevealed says that an administrator was shown what is masked of an account.
type AccountRevealed struct {
	// AdminID is the UUID of the administrator.
	AdminID string `json:"adminId"`
	// UserID is the UUID of the person whose account it is.
	UserID string `json:"userId"`
	// Fields are the names of what was shown, sorted.
	Fields []string `json:"fields"`
}

// MessageType returns "AccountRevealed".
func (AccountRevealed) MessageType() string { return "AccountRevealed" }

// RebuildStarted says that an administrator has a projection made anew.
type RebuildStarted struct {
	// AdminID is the UUID of the administrator.
	AdminID string `json:"adminId"`
	// Projection is the projection's name.
	Projection string `json:"projection"`
}

// MessageType returns "RebuildStarted".
func (RebuildStarted) MessageType() string { return "RebuildStarted" }

// RebuildSwitched says that an administrator had a projection that was made anew take the
// place of the one before.
type RebuildSwitched struct {
	// AdminID is the UUID of the administrator.
	AdminID string `json:"adminId"`
	// Projection is the projection's name.
	Projection string `json:"projection"`
	// Differences are the tables with rows that were not the same.
	Differences []Difference `json:"differences,omitempty"`
}

// Difference counts the rows of a table that were not the same before and after.
type Difference struct {
	// Table is the table's name.
	Table string `json:"table"`
	// OnlyOld rows are gone, OnlyNew rows have come, Changed rows are others now.
	OnlyOld int64 `json:"onlyOld"`
	OnlyNew int64 `json:"onlyNew"`
	Changed int64 `json:"changed"`
}

// MessageType returns "RebuildSwitched".
func (RebuildSwitched) MessageType() string { return "RebuildSwitched" }

// RebuildCancelled says that an administrator no longer wants a projection made anew.
type RebuildCancelled struct {
	// AdminID is the UUID of the administrator.
	AdminID string `json:"adminId"`
	// Projection is the projection's name.
	Projection string `json:"projection"`
}

// MessageType returns "RebuildCancelled".
func (RebuildCancelled) MessageType() string { return "RebuildCancelled" }
