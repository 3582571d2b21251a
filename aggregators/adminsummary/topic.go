package adminsummary

// Name is the projection's, and the first part of its topics.
const Name = "adminsummary"

// Topics of what changed.
const (
	StreamsTopic    = Name + "/streams"
	CategoriesTopic = Name + "/categories"
	TypesTopic      = Name + "/types"
	UsersTopic      = Name + "/users"
)
