using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace FineTuneStudio.src.Migrations
{
    /// <inheritdoc />
    public partial class LearningCurves : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "LearningCurves",
                columns: table => new
                {
                    Id = table.Column<int>(type: "INTEGER", nullable: false)
                        .Annotation("Sqlite:Autoincrement", true),
                    ProjectId = table.Column<string>(type: "TEXT", nullable: false),
                    Number = table.Column<int>(type: "INTEGER", nullable: false),
                    SplitId = table.Column<int>(type: "INTEGER", nullable: false),
                    BaseModelId = table.Column<int>(type: "INTEGER", nullable: false),
                    SettingsJson = table.Column<string>(type: "TEXT", nullable: false),
                    StartedById = table.Column<string>(type: "TEXT", nullable: false),
                    QueuedAt = table.Column<DateTime>(type: "TEXT", nullable: false),
                    StartedAt = table.Column<DateTime>(type: "TEXT", nullable: true),
                    FinishedAt = table.Column<DateTime>(type: "TEXT", nullable: true),
                    State = table.Column<string>(type: "TEXT", nullable: false),
                    StopAsked = table.Column<bool>(type: "INTEGER", nullable: false),
                    PointsDone = table.Column<int>(type: "INTEGER", nullable: false),
                    PointsTotal = table.Column<int>(type: "INTEGER", nullable: false),
                    PoolRows = table.Column<int>(type: "INTEGER", nullable: false),
                    MeasuredRows = table.Column<int>(type: "INTEGER", nullable: false),
                    MajorityLabel = table.Column<string>(type: "TEXT", nullable: false),
                    MajorityAccuracy = table.Column<double>(type: "REAL", nullable: false),
                    MajorityMacroF1 = table.Column<double>(type: "REAL", nullable: false),
                    NotesJson = table.Column<string>(type: "TEXT", nullable: false),
                    Failure = table.Column<string>(type: "TEXT", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_LearningCurves", x => x.Id);
                });

            migrationBuilder.CreateIndex(
                name: "IX_LearningCurves_ProjectId_Number",
                table: "LearningCurves",
                columns: new[] { "ProjectId", "Number" },
                unique: true);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "LearningCurves");
        }
    }
}
