using FineTuneStudio.Accounts;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Checklists;
using FineTuneStudio.Datasets;
using FineTuneStudio.FewShot;
using FineTuneStudio.Pretraining;
using FineTuneStudio.Projects;
using FineTuneStudio.Reports;
using FineTuneStudio.Review;
using FineTuneStudio.Runs;
using FineTuneStudio.Splits;
using Microsoft.AspNetCore.Identity.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage.ValueConversion;

namespace FineTuneStudio;

/// The only file that knows every slice's tables.
public sealed class StudioDb(DbContextOptions<StudioDb> options) : IdentityUserContext<StudioUser>(options)
{
    public DbSet<Project> Projects => Set<Project>();
    public DbSet<Membership> Memberships => Set<Membership>();
    public DbSet<Invitation> Invitations => Set<Invitation>();
    public DbSet<ProjectEvent> Events => Set<ProjectEvent>();
    public DbSet<Import> Imports => Set<Import>();
    public DbSet<RejectedRow> RejectedRows => Set<RejectedRow>();
    public DbSet<DatasetVersion> Versions => Set<DatasetVersion>();
    public DbSet<DataRow> Rows => Set<DataRow>();
    public DbSet<VersionRow> VersionRows => Set<VersionRow>();
    public DbSet<LabelDecision> Decisions => Set<LabelDecision>();
    public DbSet<Split> Splits => Set<Split>();
    public DbSet<SplitRow> SplitRows => Set<SplitRow>();
    public DbSet<BaseModel> BaseModels => Set<BaseModel>();
    public DbSet<HubImport> HubImports => Set<HubImport>();
    public DbSet<TrainingRun> TrainingRuns => Set<TrainingRun>();
    public DbSet<Run> Runs => Set<Run>();
    public DbSet<RunStep> RunSteps => Set<RunStep>();
    public DbSet<RunEvaluation> RunEvaluations => Set<RunEvaluation>();
    public DbSet<RunLogLine> RunLog => Set<RunLogLine>();
    public DbSet<PretrainText> PretrainTexts => Set<PretrainText>();
    public DbSet<PretrainRun> PretrainRuns => Set<PretrainRun>();
    public DbSet<LearningCurveRun> LearningCurves => Set<LearningCurveRun>();
    public DbSet<ChecklistAnswer> ChecklistAnswers => Set<ChecklistAnswer>();
    public DbSet<Report> Reports => Set<Report>();
    public DbSet<SignOff> SignOffs => Set<SignOff>();

    protected override void ConfigureConventions(ModelConfigurationBuilder conventions)
    {
        conventions.Properties<DateTime>().HaveConversion<UtcTime>();
        conventions.Properties<Enum>().HaveConversion<string>();
    }

    protected override void OnModelCreating(ModelBuilder model)
    {
        base.OnModelCreating(model);
        model.Entity<Membership>().HasKey(m => new { m.ProjectId, m.UserId, m.Role });
        model.Entity<Membership>().HasIndex(m => m.UserId);
        model.Entity<Membership>().HasOne<Project>().WithMany().HasForeignKey(m => m.ProjectId);
        model.Entity<Membership>().HasOne<StudioUser>().WithMany().HasForeignKey(m => m.UserId);
        model.Entity<Invitation>().HasIndex(i => i.CodeHash).IsUnique();
        model.Entity<ProjectEvent>().HasIndex(e => new { e.ProjectId, e.Id });

        model.Entity<Import>().HasIndex(i => i.ProjectId);
        model.Entity<RejectedRow>().HasIndex(r => r.ImportId);
        model.Entity<DatasetVersion>().HasIndex(v => new { v.ProjectId, v.Number }).IsUnique();
        model.Entity<DataRow>().HasIndex(r => new { r.ProjectId, r.TextKey });
        model.Entity<VersionRow>().HasKey(r => new { r.VersionId, r.RowId });
        model.Entity<VersionRow>().HasIndex(r => new { r.VersionId, r.Position });
        model.Entity<VersionRow>().HasIndex(r => new { r.VersionId, r.Label });
        model.Entity<LabelDecision>().HasIndex(d => new { d.VersionId, d.RowId, d.AfterId }).IsUnique();

        model.Entity<Split>().HasIndex(s => new { s.ProjectId, s.Number }).IsUnique();
        model.Entity<SplitRow>().HasKey(r => new { r.SplitId, r.RowId });
        model.Entity<SplitRow>().HasIndex(r => new { r.SplitId, r.Part });
        model.Entity<BaseModel>().HasIndex(b => new { b.ProjectId, b.Number }).IsUnique();
        model.Entity<HubImport>().HasIndex(i => new { i.ProjectId, i.State });
        model.Entity<HubImport>().Ignore(i => i.Source);

        model.Entity<TrainingRun>().ToTable("Runs").HasDiscriminator(r => r.Kind).HasValue<Run>(Run.Runs).HasValue<PretrainRun>(PretrainRun.Pretraining);
        model.Entity<TrainingRun>().HasIndex(r => new { r.ProjectId, r.Kind, r.Number }).IsUnique();
        // A page and the trainer may want to move a run at the same moment: the second finds that it has changed.
        model.Entity<TrainingRun>().Property(r => r.State).IsConcurrencyToken();
        model.Entity<RunStep>().HasKey(s => new { s.RunId, s.Step });
        model.Entity<RunEvaluation>().HasKey(e => new { e.RunId, e.Step });
        model.Entity<RunEvaluation>().Ignore(e => e.Scores);
        model.Entity<RunLogLine>().HasIndex(l => new { l.RunId, l.Id });

        model.Entity<PretrainText>().HasIndex(t => new { t.ProjectId, t.Sha256 }).IsUnique();

        model.Entity<LearningCurveRun>().HasIndex(c => new { c.ProjectId, c.Number }).IsUnique();
        model.Entity<LearningCurveRun>().Ignore(c => c.IsOver).Ignore(c => c.Settings);
        model.Entity<LearningCurveRun>().Property(c => c.State).IsConcurrencyToken();

        model.Entity<ChecklistAnswer>().HasIndex(a => new { a.ProjectId, a.Item, a.Id });
        model.Entity<Report>().HasIndex(r => new { r.ProjectId, r.Number }).IsUnique();
        model.Entity<SignOff>().HasIndex(s => s.ReportId).IsUnique();
    }

    private sealed class UtcTime() : ValueConverter<DateTime, DateTime>(t => t, t => DateTime.SpecifyKind(t, DateTimeKind.Utc));
}
