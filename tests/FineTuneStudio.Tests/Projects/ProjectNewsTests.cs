using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneStudio.Tests.Projects;

public sealed class ProjectNewsTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    [Theory, InlineData(false), InlineData(true)]
    public async Task News_of_a_project_is_out_once_others_can_read_it_and_never_of_what_was_taken_back(bool inTransaction)
    {
        var owner = await app.NewPerson("Owner");
        // Names alone: the news that a real project was made could come in between.
        var (kept, undone) = ($"kept-{inTransaction}", $"undone-{inTransaction}");
        var heard = new TaskCompletionSource<(string Project, bool CanBeRead)>();
        void Hear(string project)
        {
            if (project != kept && project != undone) return;
            using var other = app.Db;
            heard.TrySetResult((project, other.Events.Any(e => e.ProjectId == project)));
        }
        var news = app.Services.GetRequiredService<ProjectNews>();
        news.Happened += Hear;
        try
        {
            await using (var db = app.Db)
            {
                await using var all = await db.Database.BeginTransactionAsync();
                await Write(db, undone);
                await all.RollbackAsync();
            }
            await using (var db = app.Db)
            {
                await using var all = inTransaction ? await db.Database.BeginTransactionAsync() : null;
                await Write(db, kept);
                if (all is not null) await all.CommitAsync();
            }
            Assert.Equal((kept, true), await heard.Task.WaitAsync(TimeSpan.FromSeconds(60)));
        }
        finally { news.Happened -= Hear; }

        async Task Write(StudioDb db, string project)
        {
            db.Events.Add(new ProjectEvent { ProjectId = project, UserId = owner.Id, At = DateTime.UtcNow, Text = "did it" });
            await db.SaveChangesAsync();
        }
    }
}
