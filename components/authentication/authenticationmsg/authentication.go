// Package authenticationmsg is the wire contract of authentication: who writes or
// reads a message of this category imports this package and nothing else of it.
package authenticationmsg

import "videotutorials/messagestore"

// Category holds one stream for each person, "authentication-<userId>". Tries with
// an address that nobody has stand in streams of their own, by the address's id.
const Category messagestore.Category = "authentication"

// Reasons of [UserLoginFailed].
const (
	WrongPassword  = "wrong-password"
	UnknownAddress = "unknown-address"
)

// Reasons of [SessionEnded].
const (
	LoggedOut = "logged-out" // by the session itself
	EndedAway = "ended-away" // by the person, from another session
)

// UserLoggedIn says that a person has logged in.
type UserLoggedIn struct {
	// UserID is the UUID of the person, or the id of an address that nobody has.
	UserID string `json:"userId"`
	// SessionID is the session that began.
	SessionID string `json:"sessionId,omitempty"`
	// Browser says in a few words what it is used with: "Firefox on Linux".
	Browser string `json:"browser,omitempty"`
}

// UserLoginFailed says that somebody failed to log in.
type UserLoginFailed struct {
	// UserID is the UUID of the person, or the id of an address that nobody has.
	UserID string `json:"userId"`
	// Reason is a code that says why.
	Reason string `json:"reason"`
	// Browser says in a few words what it is used with: "Firefox on Linux".
	Browser string `json:"browser,omitempty"`
}

// SessionEnded says that a session is over.
type SessionEnded struct {
	// UserID is the UUID of the person, or the id of an address that nobody has.
	UserID string `json:"userId"`
	// SessionID is the UUID of the session.
	SessionID string `json:"sessionId"`
	// Reason is a code that says why.
	Reason string `json:"reason"`
}

// MessageType returns "UserLoggedIn".
func (UserLoggedIn) MessageType() string { return "UserLoggedIn" }

// MessageType returns "UserLoginFailed".
func (UserLoginFailed) MessageType() string { return "UserLoginFailed" }

// MessageType returns "SessionEnded".
func (SessionEnded) MessageType() string { return "SessionEnded" }
