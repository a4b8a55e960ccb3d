namespace FineTuneStudio.Reports;

public enum ReportState { Building, Ready, Approved, Rejected, Failed }

/// The validation report of one run on the locked test part.
public sealed class Report
{
    public int Id { get; init; }
    public required string ProjectId { get; init; }
    public required int Number { get; init; }
    public required int RunId { get; init; }
    public ReportState State { get; set; } = ReportState.Building;
    /// The whole measured content as JSON; never changed after Ready.
    public string? BodyJson { get; set; }
    /// SHA-256 of BodyJson, hex: what the signature covers.
    public string? Hash { get; set; }
    public string? Failure { get; set; }
    public required string BuiltById { get; init; }
    public required DateTime BuiltAt { get; init; }
}

public sealed class SignOff
{
    public int Id { get; init; }
    public required int ReportId { get; init; }
    public required bool Approved { get; init; }
    public required string Reason { get; init; }
    public required string ReportHash { get; init; }
    public required string UserId { get; init; }
    public required DateTime At { get; init; }
}
