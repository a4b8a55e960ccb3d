using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Projects;

public enum Role { Owner, Engineer, Labeler, Reviewer, Approver, Viewer }

public sealed class Project
{
    /// Short name in the address, made once from the name: /p/{Id}.
    public required string Id { get; init; }
    public required string Name { get; set; }
    public required string Purpose { get; set; }
    public required TextTask Task { get; init; }
    public required Metric Metric { get; set; }
    /// The value of the metric on the test part that would make the model acceptable, 0 to 1.
    public required double Goal { get; set; }
    /// Who is to approve, as a name or a function: "the head of support". It grants nothing; the role Approver does.
    public string Approver { get; set; } = "";
    /// What labelers should know, shown beside the example in the review.
    public string Guidelines { get; set; } = "";
    public bool IsSample { get; init; }
    public required string CreatedById { get; init; }
    public required DateTime CreatedAt { get; init; }
}

/// One role of one person in one project; a person may hold several.
public sealed class Membership
{
    public required string ProjectId { get; init; }
    public required string UserId { get; init; }
    public required Role Role { get; init; }
    public required DateTime Since { get; init; }
}

/// A one-time link into a project. Only the SHA-256 of its code is stored.
public sealed class Invitation
{
    public int Id { get; init; }
    public required string ProjectId { get; init; }
    public required string CodeHash { get; init; }
    /// Comma-separated names of the roles it grants.
    public required string Roles { get; init; }
    public required string CreatedById { get; init; }
    public required DateTime CreatedAt { get; init; }
    public required DateTime ExpiresAt { get; init; }
    public string? UsedById { get; set; }
    public DateTime? UsedAt { get; set; }
    public DateTime? RevokedAt { get; set; }
}

/// What happened in a project, for the team's activity list. Append-only.
public sealed class ProjectEvent
{
    public long Id { get; init; }
    public required string ProjectId { get; init; }
    public required string UserId { get; init; }
    public required DateTime At { get; init; }
    /// "imported 1,000 rows as version 1"
    public required string Text { get; init; }
    public string? Href { get; init; }
}
