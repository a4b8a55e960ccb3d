using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Design;

namespace FineTuneStudio;

/// For dotnet-ef only: a context without starting the server.
public sealed class StudioDbDesign : IDesignTimeDbContextFactory<StudioDb>
{
    public StudioDb CreateDbContext(string[] args) => new(new DbContextOptionsBuilder<StudioDb>().UseSqlite("Data Source=design.db").Options);
}
