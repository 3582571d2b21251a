// Package identitymsg is the wire contract of identities: who sends a command to
// the component, reads its events, or makes or reads a link in one of its mails
// imports this package and nothing else of it.
package identitymsg

import "videotutorials/messagestore"

const (
	// Category holds one stream for each person, "identity-<userId>", and their
	// commands in "identity:command-<userId>".
	Category messagestore.Category = "identity"
	// AddressCategory holds one stream for each e-mail address that anybody ever
	// had, "emailAddress-<id>": see [Key.AddressID].
	AddressCategory messagestore.Category = "emailAddress"
	// FirstAdminStream says whether the first administrator is there already.
	FirstAdminStream messagestore.Stream = "firstAdmin-claim"
)

// The roles that a person can have beside that of a viewer, which everybody is.
const (
	Creator = "creator"
	Admin   = "admin"
)

// Reasons of refusals.
const (
	EmailTaken        = "email-taken"        // somebody else has the address
	EmailInvalid      = "email-invalid"      // it is no address
	AlreadyRegistered = "already-registered" // the userId is somebody's
	NotRegistered     = "not-registered"     // the userId is nobody's
	SameEmail         = "same-email"         // it is the address that the person has
	AlreadyConfirmed  = "already-confirmed"  // nothing waits to be confirmed
	PasswordOutdated  = "password-outdated"  // the password that was checked is the person's no longer
	TooSoon           = "too-soon"           // the same was asked for less than a minute ago
	LinkUsed          = "link-used"          // it works once
	LinkExpired       = "link-expired"       // its time is over
	LinkOutdated      = "link-outdated"      // a later one, or a change, took its place
	UnknownRole       = "unknown-role"       // there is no such role
	AdminExists       = "admin-exists"       // the first administrator is there already
)

// WelcomeEmailID returns the id of the mail that welcomes a person.
func WelcomeEmailID(userID string) string { return messagestore.DeriveID("email", "welcome", userID) }

// Register asks to register a person.
type Register struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// Email is the address as it was typed, without the space around it.
	Email string `json:"email" mask:"true"`
	// PasswordHash holds its parameters.
	PasswordHash string `json:"passwordHash" mask:"true"`
}

// ConfirmEmail says that whoever reads the mail of an address followed the link
// that went there: the person's own, or the one that they change to.
type ConfirmEmail struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// Email is the address as it was typed, without the space around it.
	Email string `json:"email" mask:"true"`
}

// RequestConfirmation asks for another mail with a link that confirms the address.
type RequestConfirmation struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
}

// RequestPasswordReset asks for a mail with a link to set a new password, for
// whoever has an address. The command says the address by its id only: it may be
// nobody's. Its stream is that of the address's id, too.
type RequestPasswordReset struct {
	// AddressID is the id of the address: see [Key.AddressID].
	AddressID string `json:"addressId"`
}

// ResetPassword sets a new password by such a link.
type ResetPassword struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// ResetID is the UUID in the link; only the last one works.
	ResetID string `json:"resetId"`
	// PasswordHash holds its parameters.
	PasswordHash string `json:"passwordHash" mask:"true"`
}

// ChangePassword sets a new password for a person who is signed in.
type ChangePassword struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// PasswordHash holds its parameters.
	PasswordHash string `json:"passwordHash" mask:"true"`
	// SessionID is the session that goes on; every other one ends.
	SessionID string `json:"sessionId"`
	// Replaces is the hash that the current password was checked against.
	Replaces string `json:"replaces" mask:"true"`
}

// UpgradePasswordHash replaces the hash of a password by a better one of the same.
type UpgradePasswordHash struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// PasswordHash holds its parameters.
	PasswordHash string `json:"passwordHash" mask:"true"`
	// Replaces is the hash that it was made after; another one stays.
	Replaces string `json:"replaces" mask:"true"`
}

// ChangeEmail asks to change the address; it changes when the new one is confirmed.
type ChangeEmail struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// Email is the address as it was typed, without the space around it.
	Email string `json:"email" mask:"true"`
	// Replaces is the hash that the current password was checked against.
	Replaces string `json:"replaces" mask:"true"`
}

// GrantRole gives a person a role.
type GrantRole struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// Role is [Creator] or [Admin].
	Role string `json:"role"`
}

// RevokeRole takes a role from a person.
type RevokeRole struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// Role is [Creator] or [Admin].
	Role string `json:"role"`
}

// ClaimFirstAdmin makes a person the first administrator, where there is none.
type ClaimFirstAdmin struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
}

// Registered says that a person has registered.
type Registered struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// Email is the address as it was typed, without the space around it.
	Email string `json:"email" mask:"true"`
	// PasswordHash holds its parameters.
	PasswordHash string `json:"passwordHash" mask:"true"`
}

// RegistrationRejected says why a registration was refused.
type RegistrationRejected struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// Email is the address as it was typed, without the space around it.
	Email string `json:"email" mask:"true"`
	// Reason is a code that says why.
	Reason string `json:"reason"`
}

// RegistrationEmailSent says that the welcome mail is with the mail server.
type RegistrationEmailSent struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// EmailID is the UUID of the mail.
	EmailID string `json:"emailId"`
}

// RegistrationEmailFailed says that the mail server refused the welcome mail. What it
// said may name the address.
type RegistrationEmailFailed struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// EmailID is the UUID of the mail.
	EmailID string `json:"emailId"`
	// Reason is what the mail server said.
	Reason string `json:"reason" mask:"true"`
}

// EmailConfirmed says that the person reads the mail of their address.
type EmailConfirmed struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// Email is the address as it was typed, without the space around it.
	Email string `json:"email" mask:"true"`
}

// EmailConfirmationRejected says why a link, or another mail with one, was refused.
type EmailConfirmationRejected struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// Reason is a code that says why.
	Reason string `json:"reason"`
}

// ConfirmationRequested says that another mail with a link to confirm goes out.
type ConfirmationRequested struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// Email is the address as it was typed, without the space around it.
	Email string `json:"email" mask:"true"`
}

// PasswordResetRequested says that a mail with a link to set a new password goes out.
type PasswordResetRequested struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// ResetID is the UUID in the link; only the last one works.
	ResetID string `json:"resetId"`
}

// PasswordChanged says that there is a new password: every session has ended but one.
type PasswordChanged struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// PasswordHash holds its parameters.
	PasswordHash string `json:"passwordHash" mask:"true"`
	// SessionID is the session that goes on; empty after a reset: none does.
	SessionID string `json:"sessionId,omitempty"`
}

// PasswordChangeRejected says why a new password was not set.
type PasswordChangeRejected struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// Reason is a code that says why.
	Reason string `json:"reason"`
}

// PasswordHashUpgraded says that there is a better hash of the same password.
type PasswordHashUpgraded struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// PasswordHash holds its parameters.
	PasswordHash string `json:"passwordHash" mask:"true"`
}

// EmailChangeRequested says that a mail went to the address that a person wants.
type EmailChangeRequested struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// Email is the address as it was typed, without the space around it.
	Email string `json:"email" mask:"true"`
}

// EmailChanged says that a person has another address, which is confirmed.
type EmailChanged struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// Email is the address as it was typed, without the space around it.
	Email string `json:"email" mask:"true"`
	// Previous is the address before.
	Previous string `json:"previous" mask:"true"`
}

// EmailChangeRejected says why an address was not changed.
type EmailChangeRejected struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// Email is the address as it was typed, without the space around it.
	Email string `json:"email" mask:"true"`
	// Reason is a code that says why.
	Reason string `json:"reason"`
}

// RoleGranted says that a person has a role.
type RoleGranted struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// Role is [Creator] or [Admin].
	Role string `json:"role"`
}

// RoleRevoked says that a person no longer has a role.
type RoleRevoked struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// Role is [Creator] or [Admin].
	Role string `json:"role"`
}

// RoleChangeRejected says why a role was neither granted nor revoked.
type RoleChangeRejected struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
	// Role is [Creator] or [Admin].
	Role string `json:"role"`
	// Reason is a code that says why.
	Reason string `json:"reason"`
}

// EmailReserved says that an address is a person's, and nobody else's.
type EmailReserved struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
}

// EmailReleased says that a person gave an address back.
type EmailReleased struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
}

// FirstAdminClaimed says who was the first administrator.
type FirstAdminClaimed struct {
	// UserID is the UUID of the person.
	UserID string `json:"userId"`
}

// MessageType returns "Register".
func (Register) MessageType() string { return "Register" }

// MessageType returns "ConfirmEmail".
func (ConfirmEmail) MessageType() string { return "ConfirmEmail" }

// MessageType returns "RequestConfirmation".
func (RequestConfirmation) MessageType() string { return "RequestConfirmation" }

// MessageType returns "RequestPasswordReset".
func (RequestPasswordReset) MessageType() string { return "RequestPasswordReset" }

// MessageType returns "ResetPassword".
func (ResetPassword) MessageType() string { return "ResetPassword" }

// MessageType returns "ChangePassword".
func (ChangePassword) MessageType() string { return "ChangePassword" }

// MessageType returns "UpgradePasswordHash".
func (UpgradePasswordHash) MessageType() string { return "UpgradePasswordHash" }

// MessageType returns "ChangeEmail".
func (ChangeEmail) MessageType() string { return "ChangeEmail" }

// MessageType returns "GrantRole".
func (GrantRole) MessageType() string { return "GrantRole" }

// MessageType returns "RevokeRole".
func (RevokeRole) MessageType() string { return "RevokeRole" }

// MessageType returns "ClaimFirstAdmin".
func (ClaimFirstAdmin) MessageType() string { return "ClaimFirstAdmin" }

// MessageType returns "Registered".
func (Registered) MessageType() string { return "Registered" }

// MessageType returns "RegistrationRejected".
func (RegistrationRejected) MessageType() string { return "RegistrationRejected" }

// MessageType returns "RegistrationEmailSent".
func (RegistrationEmailSent) MessageType() string { return "RegistrationEmailSent" }

// MessageType returns "RegistrationEmailFailed".
func (RegistrationEmailFailed) MessageType() string { return "RegistrationEmailFailed" }

// MessageType returns "EmailConfirmed".
func (EmailConfirmed) MessageType() string { return "EmailConfirmed" }

// MessageType returns "EmailConfirmationRejected".
func (EmailConfirmationRejected) MessageType() string { return "EmailConfirmationRejected" }

// MessageType returns "ConfirmationRequested".
func (ConfirmationRequested) MessageType() string { return "ConfirmationRequested" }

// MessageType returns "PasswordResetRequested".
func (PasswordResetRequested) MessageType() string { return "PasswordResetRequested" }

// MessageType returns "PasswordChanged".
func (PasswordChanged) MessageType() string { return "PasswordChanged" }

// MessageType returns "PasswordChangeRejected".
func (PasswordChangeRejected) MessageType() string { return "PasswordChangeRejected" }

// MessageType returns "PasswordHashUpgraded".
func (PasswordHashUpgraded) MessageType() string { return "PasswordHashUpgraded" }

// MessageType returns "EmailChangeRequested".
func (EmailChangeRequested) MessageType() string { return "EmailChangeRequested" }

// MessageType returns "EmailChanged".
func (EmailChanged) MessageType() string { return "EmailChanged" }

// MessageType returns "EmailChangeRejected".
func (EmailChangeRejected) MessageType() string { return "EmailChangeRejected" }

// MessageType returns "RoleGranted".
func (RoleGranted) MessageType() string { return "RoleGranted" }

// MessageType returns "RoleRevoked".
func (RoleRevoked) MessageType() string { return "RoleRevoked" }

// MessageType returns "RoleChangeRejected".
func (RoleChangeRejected) MessageType() string { return "RoleChangeRejected" }

// MessageType returns "EmailReserved".
func (EmailReserved) MessageType() string { return "EmailReserved" }

// MessageType returns "EmailReleased".
func (EmailReleased) MessageType() string { return "EmailReleased" }

// MessageType returns "FirstAdminClaimed".
func (FirstAdminClaimed) MessageType() string { return "FirstAdminClaimed" }
